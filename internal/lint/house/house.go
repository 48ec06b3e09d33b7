// Package house holds the house rules that a parser can check: shape, state, comments and tests.
// The reasons stand in HACKING.md. Each rule is a function from a tree to its breaches, so that each
// is tested on a few lines that break it. Generated code is not judged.
package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"

	"porcupine/internal/lint/source"
)

// Limits of shape. What is over the first of a pair fails; what is over the second is only listed.
const (
	FileLinesMax     = 800
	FileLinesGood    = 400
	FuncLinesMax     = 100 // outside tests
	FuncLinesGood    = 70
	PackageLinesGood = 600 // outside tests
)

// Rules are all rules, by name.
func Rules() map[string]func(*source.Tree) []source.Finding {
	return map[string]func(*source.Tree) []source.Finding{
		"init":            Init,
		"variables":       Variables,
		"package comment": PackageComment,
		"shape":           Shape,
		"names":           Names,
		"sleep":           Sleep,
		"panic":           Panic,
		"log and exit":    Exit,
	}
}

// each visits the files that are judged.
func each(t *source.Tree, visit func(*source.Package, *source.File)) {
	for _, p := range t.Packages {
		for _, f := range p.Files {
			if !f.Generated {
				visit(p, f)
			}
		}
	}
}

// Init finds init functions: a package does nothing by being imported.
func Init(t *source.Tree) (found []source.Finding) {
	each(t, func(_ *source.Package, f *source.File) {
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, source.Finding{Where: t.Position(fn), Rule: "init",
					What: "no init functions: let the caller make what is needed, and pass it in"})
			}
		}
	})
	return found
}

// PackageComment finds packages without a comment.
func PackageComment(t *source.Tree) (found []source.Finding) {
	for _, p := range t.Packages {
		code, has := false, false
		for _, f := range p.Files {
			code = code || !f.Test
			has = has || !f.Test && f.AST.Doc != nil
		}
		if code && !has {
			found = append(found, source.Finding{Where: p.Dir, Rule: "package comment",
				What: "no package comment: say what the package is for, its duties and their order"})
		}
	}
	return found
}

// Shape finds files and functions that are too long.
func Shape(t *source.Tree) (found []source.Finding) {
	each(t, func(_ *source.Package, f *source.File) {
		if f.Lines > FileLinesMax {
			found = append(found, source.Finding{Where: f.Path, Rule: "shape",
				What: fmt.Sprintf("%d lines, at most %d: split the file by noun", f.Lines, FileLinesMax)})
		}
		if f.Test {
			return
		}
		for fn, lines := range functions(t, f) {
			if lines > FuncLinesMax {
				found = append(found, source.Finding{Where: t.Position(fn), Rule: "shape",
					What: fmt.Sprintf("%s has %d lines, at most %d: keep the branching, move the leaves out", fn.Name.Name, lines, FuncLinesMax)})
			}
		}
	})
	slices.SortFunc(found, func(a, b source.Finding) int { return strings.Compare(a.Where, b.Where) })
	return found
}

// Advice lists what is over the good sizes, without being a breach.
func Advice(t *source.Tree) (found []source.Finding) {
	add := func(where, format string, args ...any) {
		found = append(found, source.Finding{Where: where, Rule: "advice", What: fmt.Sprintf(format, args...)})
	}
	sizes := map[string]int{}
	each(t, func(p *source.Package, f *source.File) {
		if f.Lines > FileLinesGood {
			add(f.Path, "%d lines, %d are good", f.Lines, FileLinesGood)
		}
		if f.Test {
			return
		}
		sizes[p.Dir] += f.Lines
		for fn, lines := range functions(t, f) {
			if lines > FuncLinesGood {
				add(t.Position(fn), "%s has %d lines, %d are good", fn.Name.Name, lines, FuncLinesGood)
			}
		}
	})
	for dir, lines := range sizes {
		if lines > PackageLinesGood {
			add(dir, "%d lines without tests, %d are good", lines, PackageLinesGood)
		}
	}
	slices.SortFunc(found, func(a, b source.Finding) int { return strings.Compare(a.Where, b.Where) })
	return found
}

func functions(t *source.Tree, f *source.File) map[*ast.FuncDecl]int {
	lines := map[*ast.FuncDecl]int{}
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			lines[fn] = t.Fset.Position(fn.End()).Line - t.Fset.Position(fn.Pos()).Line + 1
		}
	}
	return lines
}

// vagueNames say nothing about what is in a package.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "lib",
	"base", "stuff", "tools", "types", "models", "interfaces"}

// Names finds packages named after nothing: a package is one noun that a colleague could ask about.
func Names(t *source.Tree) (found []source.Finding) {
	for _, p := range t.Packages {
		if name := path.Base(p.Dir); slices.Contains(vagueNames, name) {
			found = append(found, source.Finding{Where: p.Dir, Rule: "names",
				What: fmt.Sprintf("%q says nothing: name the package after what it holds", name)})
		}
	}
	return found
}

// calls visits the calls of pkg.name in a file, with the top-level function around them.
func calls(f *source.File, importPath string, visit func(fn *ast.FuncDecl, call *ast.CallExpr, name string)) {
	local := f.ImportName(importPath)
	if local == "" {
		return
	}
	for _, d := range f.AST.Decls {
		fn, _ := d.(*ast.FuncDecl)
		ast.Inspect(d, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
						visit(fn, call, sel.Sel.Name)
					}
				}
			}
			return true
		})
	}
}

// Sleep finds waiting by the wall clock in tests. Inside a synctest bubble, time is fake and sleeping
// is how it passes: a file that imports testing/synctest may.
func Sleep(t *source.Tree) (found []source.Finding) {
	each(t, func(_ *source.Package, f *source.File) {
		if !f.Test || f.ImportName("testing/synctest") != "" {
			return
		}
		calls(f, "time", func(_ *ast.FuncDecl, call *ast.CallExpr, name string) {
			if name == "Sleep" {
				found = append(found, source.Finding{Where: t.Position(call), Rule: "sleep",
					What: "no time.Sleep in tests: wait for the event itself, or use a synctest bubble"})
			}
		})
	})
	return found
}

// Panic finds panics. Allowed are internal/assert (a broken invariant), functions named Must...,
// tests, http.ErrAbortHandler (net/http's way to cut an answer short), and a call whose line, or the
// line above, has the comment "// invariant: " with the reason why it cannot happen.
func Panic(t *source.Tree) (found []source.Finding) {
	each(t, func(p *source.Package, f *source.File) {
		if f.Test || path.Base(p.Dir) == "assert" {
			return
		}
		excused := map[int]bool{}
		for _, g := range f.AST.Comments {
			if strings.Contains(g.Text(), "invariant: ") {
				line := t.Fset.Position(g.End()).Line
				excused[line], excused[line+1] = true, true
			}
		}
		for _, d := range f.AST.Decls {
			fn, _ := d.(*ast.FuncDecl)
			if fn != nil && strings.HasPrefix(fn.Name.Name, "Must") {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !isIdent(call.Fun, "panic") || excused[t.Fset.Position(call.Pos()).Line] || abortsHandler(call) {
					return true
				}
				found = append(found, source.Finding{Where: t.Position(call), Rule: "panic",
					What: "return an error; for a broken invariant, say why it cannot happen in a comment '// invariant: ...'"})
				return true
			})
		}
	})
	return found
}

func abortsHandler(call *ast.CallExpr) bool {
	if len(call.Args) != 1 {
		return false
	}
	sel, ok := call.Args[0].(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "ErrAbortHandler"
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// Exit finds code outside cmd that ends the process or writes to the global logger.
func Exit(t *source.Tree) (found []source.Finding) {
	each(t, func(p *source.Package, f *source.File) {
		if f.Test || strings.HasPrefix(p.Dir, "cmd/") {
			return
		}
		calls(f, "os", func(_ *ast.FuncDecl, call *ast.CallExpr, name string) {
			if name == "Exit" {
				found = append(found, source.Finding{Where: t.Position(call), Rule: "exit",
					What: "only main ends the process: return an error"})
			}
		})
		calls(f, "log", func(_ *ast.FuncDecl, call *ast.CallExpr, name string) {
			if name != "New" {
				found = append(found, source.Finding{Where: t.Position(call), Rule: "exit",
					What: "no global logger: take a *slog.Logger"})
			}
		})
		calls(f, "log/slog", func(_ *ast.FuncDecl, call *ast.CallExpr, name string) {
			if slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "SetDefault"}, name) {
				found = append(found, source.Finding{Where: t.Position(call), Rule: "exit",
					What: "no global logger: take a *slog.Logger"})
			}
		})
	})
	return found
}

// isVar reports whether a declaration is of variables.
func isVar(d ast.Decl) (*ast.GenDecl, bool) {
	g, ok := d.(*ast.GenDecl)
	return g, ok && g.Tok == token.VAR
}
