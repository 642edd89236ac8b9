"""The command that bounds what attacks can do: certify."""

import typer

from microbench.cli.records import expanded
from microbench.commands.options import CertifyOptions
from microbench.errors import UserError


@expanded
def certify(options: CertifyOptions) -> None:
    """Bound by how much any attack can change the actions of a feed-forward policy, beside what attacks reach."""
    from microbench.commands import certify as command

    if not options.eps:
        raise UserError("there is no budget; give --eps, for example --eps 0.1, and repeat it for several.")
    certificate = command.certify(options, options.eps)
    if options.as_json or not options.quiet:
        typer.echo(command.printed(certificate, as_json=options.as_json))
