"""Tests of the programs that are not below tests/: packaging/sbom/run and fuzz/run."""

import importlib.machinery
import importlib.util
import unittest

from common.paths import ROOT


def load(path):
    loader = importlib.machinery.SourceFileLoader(path.replace("/", "_"), str(ROOT / path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def component(name, **changes):
    return {"name": name, "bom-ref": f"pkg:cargo/{name}", "licenses": [{"expression": "MIT"}]} | changes


def bill(components, dependencies=()):
    return {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"bom-ref": "pkg:cargo/skillkeep"}},
        "components": components,
        "dependencies": [{"ref": "pkg:cargo/skillkeep", "dependsOn": list(dependencies)}],
    }


class BillOfMaterialsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sbom = load("packaging/sbom/run")

    def problems(self, document):
        return self.sbom.find_problems(document, required=("ring",))

    def test_complete_bill_has_no_problem(self):
        self.assertEqual(self.problems(bill([component("ring")], ["pkg:cargo/ring"])), [])

    def test_missing_required_component_is_found(self):
        self.assertEqual(self.problems(bill([component("rmcp")])), ["required components that are missing: ring"])

    def test_component_without_licence_is_found(self):
        document = bill([component("ring", licenses=[])])
        self.assertEqual(self.problems(document), ["components without a licence: ring"])

    def test_component_listed_twice_is_found(self):
        document = bill([component("ring"), component("ring")])
        self.assertEqual(self.problems(document), ["components that are listed twice: pkg:cargo/ring"])

    def test_unlisted_dependency_is_found(self):
        document = bill([component("ring")], ["pkg:cargo/untrusted"])
        self.assertEqual(self.problems(document), ["dependencies that are not listed: pkg:cargo/untrusted"])

    def test_other_document_is_found(self):
        self.assertEqual(self.problems({"spdxVersion": "SPDX-2.3"}), ["it is not a CycloneDX document"])

    def test_paths_of_the_build_are_removed(self):
        text = '"path+file:///home/me/skillkeep#0.1.0" "/home/me/skillkeep/src"'
        self.assertEqual(self.sbom.without_build_paths(text, "/home/me/skillkeep"), '"pkg:cargo/0.1.0" "./src"')


class FuzzTest(unittest.TestCase):
    def test_every_target_is_found_and_has_seeds(self):
        fuzz = load("fuzz/run")
        self.assertGreaterEqual(len(fuzz.targets()), 7)
        self.assertIn(fuzz.NEEDS_DATABASE, fuzz.targets())
        for target in fuzz.targets():
            self.assertTrue(any((ROOT / "fuzz" / "seeds" / target).iterdir()), target)


if __name__ == "__main__":
    unittest.main()
