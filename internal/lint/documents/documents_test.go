package documents

import (
	"strings"
	"testing"

	"porcupine/internal/lint/source"
)

func tree(t *testing.T, files map[string]string) *source.Tree {
	t.Helper()
	x, err := source.New("m", files)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func expect(t *testing.T, found []source.Finding, want ...string) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("found %v, want %q", found, want)
	}
	for i, f := range found {
		if !strings.Contains(f.String(), want[i]) {
			t.Errorf("finding %d = %v, want %q", i, f, want[i])
		}
	}
}

func TestDependencies(t *testing.T) {
	expect(t, Dependencies(tree(t, map[string]string{
		"go.mod":         "module m\n\nrequire example.org/a v1.0.0\nrequire example.org/b/v2 v2.0.0 // indirect\n",
		DependenciesFile: "| module | why |\n|---|---|\n| `example.org/a` | x |\n| `example.org/gone` | x |\n",
		"a.go":           "package m\nimport (\n_ \"example.org/a/sub\"\n_ \"example.org/b/v2\"\n_ \"fmt\"\n)",
	})), "example.org/b/v2 has no line", "example.org/gone is not required")
}

func TestGlossary(t *testing.T) {
	expect(t, Glossary(tree(t, map[string]string{
		GlossaryFile:      "**view** (`words.View`): what is installed.",
		"words/a.go":      "package words\ntype View int\ntype Epoch int\ntype hidden int",
		"other/a.go":      "package other\ntype Epoch int",
		"words/a_test.go": "package words\ntype Fake int",
	}), "words"), "does not explain `words.Epoch`")
}

func TestDecisions(t *testing.T) {
	expect(t, Decisions(tree(t, map[string]string{
		DecisionsFile:              "| [0001](0001-a.md) | a |",
		"docs/decisions/0001-a.md": "# 1",
		"docs/decisions/0002-b.md": "# 2",
	})), "0002-b.md: decisions: is not in")
}

func TestReferences(t *testing.T) {
	expect(t, References(tree(t, map[string]string{
		"Makefile":               "check: ## x\n\ttrue\n",
		"internal/a/a.go":        "package a",
		"internal/a/a_test.go":   "package a\nfunc TestA() {}",
		"docs/decisions/0001.md": "see [the map](../../README.md) and [nothing](0002.md), <https://x.example>, [web](https://x.example/y)",
		"README.md":              "`internal/a` `internal/a/a.go` `internal/b`\n`TestA` `TestB`\n`make check` `make nothing`\n`internal/*/x` `a/b` `go test ./internal/a`",
	})),
		"README.md:1: references: internal/b is not there",
		"README.md:2: references: test TestB",
		"README.md:3: references: make target nothing",
		"docs/decisions/0001.md:1: references: link target 0002.md")
}
