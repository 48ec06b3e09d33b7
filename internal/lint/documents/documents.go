// Package documents checks what the documents say against the tree: every dependency has its line,
// every word its entry in the glossary, every decision its place in the index, and every package, test, file and make target that a
// document names is there.
package documents

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"porcupine/internal/lint/source"
)

// Places of the documents that are checked for something of their own.
const (
	DependenciesFile = "docs/dependencies.md"
	GlossaryFile     = "docs/glossary.md"
	DecisionsFile    = "docs/decisions/README.md"
)

var (
	// moduleCode matches a module path in code quotes at the start of a table row.
	moduleCode = regexp.MustCompile("(?m)^\\| `([a-z0-9.]+\\.[a-z]+(?:/[^`]+)?)` \\|")
	code       = regexp.MustCompile("`([^`\n]+)`")
	link       = regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	place      = regexp.MustCompile(`^(internal|cmd|test|docs|tools|\.ci)(/[\w.*-]+)+/?$`)
	testName   = regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`)
	makeTarget = regexp.MustCompile(`^make ([a-z][a-z-]*)`)
	targetLine = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
)

// Dependencies finds modules that the code imports and the list of dependencies lacks, and lines of
// the list for modules that go.mod does not require.
func Dependencies(t *source.Tree) (found []source.Finding) {
	text, _ := t.Text(DependenciesFile)
	listed := map[string]bool{}
	for _, m := range moduleCode.FindAllStringSubmatch(text, -1) {
		listed[m[1]] = true
	}
	used := map[string]string{} // module -> first place
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, s := range f.Imports() {
				if m := t.ModuleOf(source.ImportPath(s)); m != "" && used[m] == "" {
					used[m] = t.Position(s)
				}
			}
		}
	}
	for _, m := range slices.Sorted(maps.Keys(used)) {
		if !listed[m] {
			found = append(found, source.Finding{Where: used[m], Rule: "dependencies",
				What: fmt.Sprintf("%s has no line in %s: say what it is for", m, DependenciesFile)})
		}
	}
	for _, m := range slices.Sorted(maps.Keys(listed)) {
		if !slices.Contains(t.Requires, m) {
			found = append(found, source.Finding{Where: DependenciesFile, Rule: "dependencies",
				What: m + " is not required by go.mod: drop the line"})
		}
	}
	return found
}

// Glossary finds exported types of the rooms of words that the glossary does not mention in code
// quotes.
func Glossary(t *source.Tree, rooms ...string) (found []source.Finding) {
	text, _ := t.Text(GlossaryFile)
	mentioned := map[string]bool{}
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		mentioned[m[1]] = true
	}
	for _, p := range t.Packages {
		if !slices.Contains(rooms, p.Dir) {
			continue
		}
		for _, f := range p.Files {
			if f.Test || f.Generated {
				continue
			}
			for _, d := range f.AST.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.TYPE {
					continue
				}
				for _, s := range g.Specs {
					name := s.(*ast.TypeSpec).Name
					word := path.Base(p.Dir) + "." + name.Name
					if name.IsExported() && !mentioned[word] {
						found = append(found, source.Finding{Where: t.Position(name), Rule: "glossary",
							What: fmt.Sprintf("%s does not explain `%s`", GlossaryFile, word)})
					}
				}
			}
		}
	}
	return found
}

// Decisions finds decisions that their index does not link to.
func Decisions(t *source.Tree) (found []source.Finding) {
	index, _ := t.Text(DecisionsFile)
	for _, x := range t.Texts {
		name := path.Base(x.Path)
		if path.Dir(x.Path) == path.Dir(DecisionsFile) && x.Path != DecisionsFile && !strings.Contains(index, "]("+name+")") {
			found = append(found, source.Finding{Where: x.Path, Rule: "decisions", What: "is not in " + DecisionsFile})
		}
	}
	return found
}

// References finds names in the documents' code quotes and links that are not there: folders and
// files of the tree, tests, make targets.
func References(t *source.Tree) (found []source.Finding) {
	places, tests := inventory(t)
	makefile, _ := t.Text("Makefile")
	targets := map[string]bool{}
	for _, m := range targetLine.FindAllStringSubmatch(makefile, -1) {
		targets[m[1]] = true
	}
	for _, x := range t.Texts {
		if !strings.HasSuffix(x.Path, ".md") {
			continue
		}
		for i, line := range strings.Split(x.Src, "\n") {
			where := fmt.Sprintf("%s:%d", x.Path, i+1)
			missing := func(what string) {
				found = append(found, source.Finding{Where: where, Rule: "references", What: what + " is not there"})
			}
			for _, m := range code.FindAllStringSubmatch(line, -1) {
				name := m[1]
				switch target := makeTarget.FindStringSubmatch(name); {
				case target != nil:
					if !targets[target[1]] {
						missing("make target " + target[1])
					}
				case testName.MatchString(name):
					if !tests[name] {
						missing("test " + name)
					}
				case place.MatchString(name) && !strings.Contains(name, "*"):
					if !places[strings.TrimSuffix(name, "/")] {
						missing(name)
					}
				}
			}
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if !places[path.Join(path.Dir(x.Path), m[1])] {
					missing("link target " + m[1])
				}
			}
		}
	}
	return found
}

// inventory lists every file and folder of the tree, and every test function.
func inventory(t *source.Tree) (places, tests map[string]bool) {
	places, tests = map[string]bool{}, map[string]bool{}
	add := func(name string) {
		for ; name != "." && name != "/"; name = path.Dir(name) {
			places[name] = true
		}
	}
	for _, x := range t.Texts {
		add(x.Path)
	}
	for _, p := range t.Packages {
		for _, f := range p.Files {
			add(f.Path)
			for _, d := range f.AST.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && f.Test {
					tests[fn.Name.Name] = true
				}
			}
		}
	}
	return places, tests
}
