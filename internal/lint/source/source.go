// Package source reads a Go tree for the rooms that judge it: its packages with their syntax trees,
// its text files, and its go.mod. It only parses; it builds nothing and runs no tool, so the rules
// work on any machine that has the tree.
package source

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// textSizeMax bounds the files that are read as text.
const textSizeMax = 4 << 20

// Finding is one breach of a rule.
type Finding struct {
	Where string // file:line or file, with slashes, from the root of the tree
	Rule  string // a short name, stable
	What  string // what is wrong, and what to do
}

func (f Finding) String() string { return f.Where + ": " + f.Rule + ": " + f.What }

// Tree is a module's source.
type Tree struct {
	Root     string
	Module   string     // its module path
	Requires []string   // module paths that go.mod requires, direct or not
	Packages []*Package // by Dir
	Texts    []Text     // every text file that is not Go, by Path
	Fset     *token.FileSet
}

// Package is one folder's Go files.
type Package struct {
	Dir   string // from the root, with slashes; "." for the root itself
	Files []*File
}

// File is one Go file.
type File struct {
	Path      string // from the root, with slashes
	Src       string
	Lines     int
	Test      bool // named _test.go
	Generated bool // by the standard comment
	AST       *ast.File
}

// Text is one other text file.
type Text struct {
	Path string
	Src  string
}

// Load reads the tree below root, which holds go.mod. Folders named testdata and those with a
// go.mod of their own hold no Go of this module; their other files are read all the same. Hidden
// folders but .ci are skipped.
func Load(root string) (*Tree, error) {
	t := &Tree{Root: root, Fset: token.NewFileSet()}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("load tree: %w", err)
	}
	t.readMod(string(mod))
	packages := map[string]*Package{}
	foreign := map[string]bool{} // folders whose Go files are not of this module
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && strings.HasPrefix(d.Name(), ".") && rel != ".ci" || slices.Contains(outputs, rel) {
				return filepath.SkipDir
			}
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			foreign[rel] = rel != "." && (err == nil || foreign[path.Dir(rel)] || d.Name() == "testdata")
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return t.add(packages, name, rel, foreign[path.Dir(rel)])
	})
	if err != nil {
		return nil, fmt.Errorf("load tree %s: %w", root, err)
	}
	for _, p := range packages {
		t.Packages = append(t.Packages, p)
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return t, nil
}

// outputs are folders at the root that hold what is made, not written; .gitignore names them too.
var outputs = []string{"bin", "dev-cluster"}

func (t *Tree) add(packages map[string]*Package, name, rel string, foreign bool) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since the folder was listed
	}
	if err != nil {
		return err
	}
	if info.Size() > textSizeMax {
		return nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return nil
	}
	if !strings.HasSuffix(rel, ".go") || foreign {
		t.Texts = append(t.Texts, Text{Path: rel, Src: string(b)})
		return nil
	}
	f, err := t.Parse(rel, string(b))
	if err != nil {
		return err
	}
	dir := path.Dir(rel)
	p := packages[dir]
	if p == nil {
		p = &Package{Dir: dir}
		packages[dir] = p
	}
	p.Files = append(p.Files, f)
	return nil
}

// Parse makes a File of Go source; rel is its path from the root.
func (t *Tree) Parse(rel, src string) (*File, error) {
	f, err := parser.ParseFile(t.Fset, rel, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", rel, err)
	}
	return &File{
		Path:      rel,
		Src:       src,
		Lines:     strings.Count(src, "\n"),
		Test:      strings.HasSuffix(rel, "_test.go"),
		Generated: ast.IsGenerated(f),
		AST:       f,
	}, nil
}

// New makes a tree of Go sources in memory, by path: for the tests of rules. Paths ending in .go
// are parsed, others are texts.
func New(module string, files map[string]string) (*Tree, error) {
	t := &Tree{Module: module, Fset: token.NewFileSet()}
	packages := map[string]*Package{}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "go.mod" {
			t.readMod(files[name])
		}
		if !strings.HasSuffix(name, ".go") {
			t.Texts = append(t.Texts, Text{Path: name, Src: files[name]})
			continue
		}
		f, err := t.Parse(name, files[name])
		if err != nil {
			return nil, err
		}
		dir := path.Dir(name)
		if packages[dir] == nil {
			packages[dir] = &Package{Dir: dir}
			t.Packages = append(t.Packages, packages[dir])
		}
		packages[dir].Files = append(packages[dir].Files, f)
	}
	return t, nil
}

// readMod takes the module path and the required modules from go.mod.
func (t *Tree) readMod(mod string) {
	for line := range strings.Lines(mod) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 2 && words[0] == "module":
			t.Module = words[1]
		case len(words) >= 3 && words[0] == "require":
			t.Requires = append(t.Requires, words[1])
		case len(words) >= 2 && strings.HasPrefix(line, "\t") && strings.HasPrefix(words[1], "v"):
			t.Requires = append(t.Requires, words[0])
		}
	}
}

// ModuleOf gives the required module that holds an imported package, "" if it is of the standard
// library or of this module.
func (t *Tree) ModuleOf(importPath string) string {
	best := ""
	for _, m := range t.Requires {
		if (importPath == m || strings.HasPrefix(importPath, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// Local gives the folder of an import path of this module.
func (t *Tree) Local(importPath string) (dir string, ok bool) {
	if importPath == t.Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.Module+"/")
}

// Position gives file:line of a node.
func (t *Tree) Position(n ast.Node) string {
	p := t.Fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// Text gives the text file with that path.
func (t *Tree) Text(name string) (string, bool) {
	for _, x := range t.Texts {
		if x.Path == name {
			return x.Src, true
		}
	}
	return "", false
}

// Imports gives the import paths of a file with their specs, in order.
func (f *File) Imports() []*ast.ImportSpec { return f.AST.Imports }

// ImportPath gives the path of an import without its quotes.
func ImportPath(s *ast.ImportSpec) string { return strings.Trim(s.Path.Value, `"`) }

// ImportName gives the name by which the file knows an imported path, "" if it does not import it.
// For a path without a name of its own that is its last element that is not a version.
func (f *File) ImportName(importPath string) string {
	for _, s := range f.AST.Imports {
		if ImportPath(s) != importPath {
			continue
		}
		if s.Name != nil {
			return s.Name.Name
		}
		name := path.Base(importPath)
		if strings.HasPrefix(name, "v") && strings.Trim(name[1:], "0123456789") == "" {
			name = path.Base(path.Dir(importPath))
		}
		return name
	}
	return ""
}
