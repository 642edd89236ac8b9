"""Zip files read into memory, within limits; members that no ordinary writer makes are refused."""

import io
import stat
import zipfile

from microbench.checkpoints.containers.budget import pay

ENTRY = b"PK\x01\x02"  # start of every member's record in the archive's directory
MOST_MEMBERS = 10_000
MOST_BYTES = 2**31
# Growth allowed by unpacking: weights hardly compress, so a file that grows more is made to exhaust memory.
MOST_GROWTH, FREE_BYTES = 30, 2**26


class Archive:
    """The members of a zip file, which are never extracted to disk.

    Raises:
        ValueError: a member is encrypted, a link, or outside its folder. Or two members have one name, or the archive
            unpacks to more bytes than a policy has.
        zipfile.BadZipFile: the archive is damaged.
    """

    def __init__(self, content: bytes) -> None:
        if content.count(ENTRY) > 2 * MOST_MEMBERS:  # before a record is made of each
            raise ValueError("an archive with too many members")
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        infos = self._zip.infolist()
        self.sizes = {info.filename: info.file_size for info in infos}
        if len(infos) > MOST_MEMBERS or len(self.sizes) != len(infos):
            raise ValueError("an archive with too many members, or with one name twice")
        if sum(self.sizes.values()) > min(MOST_BYTES, FREE_BYTES + MOST_GROWTH * len(content)):
            raise ValueError("an archive that unpacks to far more than a policy")
        for info in infos:
            _check(info)

    def __contains__(self, name: str) -> bool:
        return name in self.sizes

    @property
    def root(self) -> str:
        """The folder of all members in a torch file, with its slash; empty if there is none."""
        name = next((name for name in self.sizes if name.endswith("data.pkl")), "data.pkl")
        return name.removesuffix("data.pkl")

    def read(self, name: str) -> bytes:
        """A member's bytes, with a verified checksum; KeyError if there is no such member."""
        pay(size=2 * self.sizes[name], steps=50 + self.sizes[name] // 256)
        with self._zip.open(name) as member:
            return member.read(self.sizes[name] + 1)


def _check(info: zipfile.ZipInfo) -> None:
    parts = info.filename.replace("\\", "/").split("/")
    if info.filename.startswith("/") or ".." in parts or ":" in parts[0]:
        raise ValueError("an archive with a member outside its own folder")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ValueError("an archive with a link in it")
    if info.flag_bits & 1:
        raise ValueError("an archive with an encrypted member")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("an archive packed in an unusual way")
