package lint

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"porcupine/internal/lint/documents"
	"porcupine/internal/lint/house"
	"porcupine/internal/lint/policy"
	"porcupine/internal/lint/source"
)

// policyFile is the import policy, beside this file.
const policyFile = "imports.txt"

// loadOnce reads the tree once for all tests; they only read it.
var loadOnce = sync.OnceValues(func() (*source.Tree, error) { return source.Load("../..") })

func load(t *testing.T) *source.Tree {
	t.Helper()
	tree, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Packages) == 0 || tree.Module == "" {
		t.Fatalf("Load gives %d packages of module %q: the rules judge nothing", len(tree.Packages), tree.Module)
	}
	return tree
}

func loadPolicy(t *testing.T) *policy.Policy {
	t.Helper()
	text, err := os.ReadFile(policyFile)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("internal/lint/"+policyFile, string(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fail(t *testing.T, found []source.Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

func TestImportPolicy(t *testing.T) { fail(t, loadPolicy(t).Check(load(t))) }

func TestHouseRules(t *testing.T) {
	tree := load(t)
	for name, rule := range house.Rules() {
		t.Run(name, func(t *testing.T) { fail(t, rule(tree)) })
	}
}

func TestFiles(t *testing.T) { fail(t, house.Files(load(t))) }

func TestDependenciesAreExplained(t *testing.T) { fail(t, documents.Dependencies(load(t))) }

func TestGlossaryKnowsTheWords(t *testing.T) {
	fail(t, documents.Glossary(load(t), "internal/cluster", "internal/mail"))
}

func TestDecisionsAreIndexed(t *testing.T) { fail(t, documents.Decisions(load(t))) }

func TestDocumentsNameWhatIsThere(t *testing.T) { fail(t, documents.References(load(t))) }

// TestAdvice never fails: with -v it lists what is larger than it should be, and rooms that the
// policy speaks of and the tree has not.
func TestAdvice(t *testing.T) {
	tree := load(t)
	for _, f := range house.Advice(tree) {
		t.Log(f)
	}
	for _, room := range loadPolicy(t).Rooms() {
		if !slices.ContainsFunc(tree.Packages, func(p *source.Package) bool {
			return p.Dir == room || strings.HasPrefix(p.Dir, room+"/")
		}) {
			t.Logf("%s: room %s is not in the tree", policyFile, room)
		}
	}
}
