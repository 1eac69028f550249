"""The entry point of tests/mutation/run."""

import argparse
import sys

import mutation
from common.errors import CannotRun
from common.paths import ROOT
from common.process import temporary_folder
from common.report import Report
from mutation.code import read_code_table
from mutation.output import judge
from mutation.points import find_query_mutations, replace_first
from mutation.project import (
    FILTERS_OF_QUERIES, FILTERS_OF_SCHEMA, MINIMUM_QUERIES, MINIMUM_SCHEMA, NothingProved, Project, last_lines,
)
from mutation.stale import check_stale

EXIT_NOTHING_PROVED = 70


def require_minimum(what, count, minimum):
    if count < minimum:
        raise NothingProved(f"there are only {count} {what}; there must be at least {minimum}")


def report_verdict(report, description, failed):
    verdict = judge(description, failed)
    (report.fails if verdict.survived else report.passes)(verdict.line)


def run_schema(report, project, text):
    project.require_passing(FILTERS_OF_SCHEMA)
    statements = project.list_schema_mutations()
    require_minimum("mutations of the schema", len(statements), MINIMUM_SCHEMA)
    for statement in statements:
        if text in statement:
            report_verdict(report, statement, project.failures(FILTERS_OF_SCHEMA, statement))


def run_queries(report, project, text):
    project.require_passing(FILTERS_OF_QUERIES)
    mutations = find_query_mutations(project.folder)
    require_minimum("mutations of the queries", len(mutations), MINIMUM_QUERIES)
    for each in mutations:
        if text in each.file:
            # The tests read the files at run time.
            with project.with_text(each.file, each.apply(project.read(each.file))):
                failed = project.failures(FILTERS_OF_QUERIES)
            report_verdict(report, each.description, failed)


def run_code_mutation(report, project, each):
    """Returns whether the mutation could be applied."""
    path = project.folder / each.file
    mutated = replace_first(project.read(each.file), each.old, each.new) if path.is_file() else None
    if mutated is None:
        report.fails(f"STALE     {each.file} does not contain: {each.old}")
        return False
    with project.with_text(each.file, mutated):
        errors = project.build()
        if errors is None:
            report_verdict(report, each.description, project.failures(each.tests, each.schema))
        elif error := project.compiler_error(errors):
            report.passes(f"detected  {each.description}\n          by the compiler: {error}")
        else:
            raise NothingProved(f"{each.description}: the build failed for another reason:\n{last_lines(errors)}")
    return True


def run_code(report, project, text):
    table = read_code_table()
    require_minimum("mutations of the code", len(table.mutations), table.minimum)
    selected = [each for each in table.mutations if text in each.description]
    for filters in sorted({each.tests for each in selected}):
        project.require_passing(filters)
    applied = [run_code_mutation(report, project, each) for each in selected]
    # The last program was built with a mutation.
    project.discard_program()
    if selected and not any(applied):
        raise NothingProved("no mutation of the code could be applied")


KINDS = {"schema": run_schema, "queries": run_queries, "code": run_code}


def parse_kind(argument):
    """("schema", "text") of "schema=text"."""
    kind, _, text = argument.partition("=")
    if kind not in KINDS:
        raise argparse.ArgumentTypeError(f"{kind!r} is not one of {', '.join(KINDS)}")
    return kind, text


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="tests/mutation/run", description=mutation.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", metavar="KIND[=TEXT]", nargs="*", type=parse_kind, help="schema, queries or code")
    parser.add_argument(
        "--check-stale", action="store_true",
        help="only list the mutations whose text or tests no longer exist, without a build",
    )
    parsed = parser.parse_args(arguments)
    parsed.kinds = parsed.kinds or [(kind, "") for kind in KINDS]
    return parsed


def run_kinds(report, kinds):
    with temporary_folder("skillkeep-mutation-") as folder:
        project = Project(folder)
        project.copy_repository()
        project.require_program()
        for kind, text in kinds:
            print(f"== {kind}{f'={text}' if text else ''}", flush=True)
            project.require_program()
            KINDS[kind](report, project, text)
    if report.rows == 0:
        raise NothingProved("no mutation was applied")


def main():
    arguments = parse_arguments()
    report = Report()
    try:
        if arguments.check_stale:
            check_stale(report, ROOT)
        else:
            run_kinds(report, arguments.kinds)
    except (CannotRun, NothingProved) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_NOTHING_PROVED
    return report.finish()
