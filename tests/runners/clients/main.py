"""The entry point of tests/clients/run."""

import argparse
import json

import clients
from clients.events import check_events
from clients.claude_code import CLAUDE_CODE, require_namespace
from clients.inspector import InspectorClient
from clients.installers import INSTALLERS, install_modules, run_installer
from clients.matrix import INSPECTOR, connection, install_all, rows
from clients.proxy import Nginx
from clients.scenario import SCOPES, run_scenario
from clients.sdk import SdkClient
from clients.tls_front import ADDRESS
from common.errors import CheckFailed, expect_equal
from common.install import require_npm
from common.paths import find_program
from common.process import temporary_folder
from common.report import Report
from common.skillkeep import Skillkeep


def run_client(skillkeep, url, number, row):
    """Runs the scenario. Returns the number of events that the client left."""
    email = f"client-{number}@clients.example"
    config = connection(skillkeep, url, number, row, skillkeep.create_key(email, SCOPES))
    client = (InspectorClient if row.package == INSPECTOR else SdkClient)(config)
    try:
        client.connect(row.version)
        calls = run_scenario(client)
        client.close()
    except (KeyError, IndexError, TypeError, ValueError, BrokenPipeError) as error:
        raise CheckFailed(f"an answer has an unexpected form: {error!r}") from error
    finally:
        client.abandon()
    events = [event for event in skillkeep.events() if event["email"] == email]
    check_events(events, calls, row, client.name, client.version)
    return len(events)


def run_verify(skillkeep, url, number, row):
    """Lets the Inspector check every file of every skill against the Skills extension. Returns the number of events."""
    email = f"client-{number}@clients.example"
    config = connection(skillkeep, url, number, row, skillkeep.create_key(email, SCOPES))
    code, report = InspectorClient(config).ask("--method", "skills/list", "--verify", "--require-digests")
    expect_equal(f"the exit code of --verify, which printed {json.dumps(report)[:1500]}", code, 0)
    events = [event for event in skillkeep.events() if event["email"] == email]
    expect_equal("the outcomes of the reads", {event["outcome"] for event in events}, {"ok"})
    expect_equal("the methods", {event["tool"] for event in events}, {"resources/read"})
    return len(events)


def run_all(skillkeep, url, proxied_url, installers):
    report, recorded = Report(), 0
    print(f"{'client':<48} {'transport':<10} {'version':<11} result")
    for number, row in enumerate(rows(proxied_url is not None)):
        print(f"{row.label:<48} {row.transport:<10} {row.version:<11} ", end="", flush=True)
        try:
            recorded += (run_verify if row.verify else run_client)(
                skillkeep, proxied_url if row.behind_proxy else url, number, row
            )
            report.passes("ok")
        except CheckFailed as failure:
            report.fails("FAILED", f"    {failure}")
    for number, installer in enumerate(installers):
        print(f"{installer.package:<48} {'http':<10} {installer.door:<11} ", end="", flush=True)
        try:
            recorded += run_installer(skillkeep, url, number, installer)
            report.passes("ok")
        except CheckFailed as failure:
            report.fails("FAILED", f"    {failure}")
    # Each client's events were selected by its user. There must be none besides.
    if report.failed == 0 and (count := len(skillkeep.events())) != recorded:
        report.fails(f"FAILED: the clients made {recorded} calls, but there are {count} events")
    return report.finish()


def main():
    parser = argparse.ArgumentParser(
        prog="tests/clients/run", description=clients.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--without-proxy", action="store_true", help="do not run the clients behind nginx")
    parser.add_argument("--without-claude-code", action="store_true", help="do not run Claude Code, which needs unshare")
    options = parser.parse_args()
    installers = [
        installer for installer in INSTALLERS
        if not (options.without_claude_code and installer.package == CLAUDE_CODE)
    ]
    if not options.without_claude_code:
        require_namespace()
    program = find_program("debug")
    require_npm()
    install_all()
    install_modules()
    with temporary_folder("skillkeep-clients-") as folder:
        skillkeep = Skillkeep(program, folder)
        try:
            skillkeep.import_samples()
            url = skillkeep.serve("--trusted-proxy", "127.0.0.1", "--allow-host", ADDRESS)
            if options.without_proxy:
                return run_all(skillkeep, url, None, installers)
            nginx = Nginx(folder, url)
            try:
                return run_all(skillkeep, url, nginx.url, installers)
            finally:
                nginx.stop()
        finally:
            skillkeep.stop()
