package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"porcupine/internal/lint/source"
)

// Variables finds package-level variables that hold state, so that two nodes fit in one process.
// Allowed are errors, regular expressions and the like, tables, embedded files, and "var _ I = T";
// none of them may be changed by any function of its package, or have its address taken there.
func Variables(t *source.Tree) (found []source.Finding) {
	for _, p := range t.Packages {
		names := map[string]bool{}
		for _, f := range p.Files {
			if f.Generated || f.Test {
				continue
			}
			for _, d := range f.AST.Decls {
				g, ok := isVar(d)
				if !ok {
					continue
				}
				for _, s := range g.Specs {
					found = append(found, judge(t, f, g, s.(*ast.ValueSpec), names)...)
				}
			}
		}
		for _, f := range p.Files {
			if !f.Generated && !f.Test {
				found = append(found, changes(t, f, names)...)
			}
		}
	}
	return found
}

func judge(t *source.Tree, f *source.File, g *ast.GenDecl, s *ast.ValueSpec, names map[string]bool) (found []source.Finding) {
	embedded := g.Doc != nil && strings.Contains(commentSource(g.Doc), "//go:embed") ||
		s.Doc != nil && strings.Contains(commentSource(s.Doc), "//go:embed")
	for i, name := range s.Names {
		if name.Name == "_" {
			continue
		}
		names[name.Name] = true
		var value ast.Expr
		if i < len(s.Values) {
			value = s.Values[i]
		}
		if !embedded && !constant(f, value) {
			found = append(found, source.Finding{Where: t.Position(name), Rule: "variables",
				What: fmt.Sprintf("%s is state at package level: put it into a struct that its user makes", name.Name)})
		}
	}
	return found
}

func commentSource(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text + "\n")
	}
	return b.String()
}

// constantCalls are functions whose results nobody changes.
var constantCalls = []string{
	"errors.New", "fmt.Errorf", "fmt.Sprintf", "cluster.Errorf", "regexp.MustCompile", "strings.NewReplacer", "template.Must",
	"time.Unix", "time.Date", "netip.MustParseAddr", "netip.MustParsePrefix", "netip.MustParseAddrPort",
	"base32.NewEncoding", "base64.NewEncoding", "crc32.MakeTable", "idna.New", "precis.NewIdentifier", "precis.NewFreeform",
	"big.NewInt", "reflect.TypeFor", "len", "slices.Concat", "strings.Repeat", "math.Log",
}

// constant reports whether an initial value is a table or a value that is never changed.
func constant(f *source.File, e ast.Expr) bool {
	switch e := e.(type) {
	case nil, *ast.FuncLit:
		return false
	case *ast.BasicLit, *ast.Ident, *ast.SelectorExpr:
		return true
	case *ast.ParenExpr:
		return constant(f, e.X)
	case *ast.UnaryExpr:
		return e.Op != token.AND || isErrorLit(e.X)
	case *ast.BinaryExpr:
		return constant(f, e.X) && constant(f, e.Y)
	case *ast.CompositeLit:
		return !lock(e.Type)
	case *ast.IndexExpr:
		return constant(f, e.X)
	case *ast.CallExpr:
		switch fun := e.Fun.(type) {
		case *ast.Ident: // a conversion to a type of the package: error kinds, byte slices
			return len(e.Args) == 1 && constant(f, e.Args[0]) && !slices.Contains([]string{"make", "new"}, fun.Name)
		case *ast.ArrayType:
			return true // []byte("...")
		case *ast.SelectorExpr:
			if x, ok := fun.X.(*ast.Ident); ok && slices.Contains(constantCalls, x.Name+"."+fun.Sel.Name) {
				return true
			}
			return fun.Sel.Name == "WithPadding" && constant(f, fun.X)
		}
	}
	return false
}

// isErrorLit recognises &pkg.Error{...}, an error value.
func isErrorLit(e ast.Expr) bool {
	c, ok := e.(*ast.CompositeLit)
	if !ok {
		return false
	}
	switch typ := c.Type.(type) {
	case *ast.Ident:
		return strings.HasSuffix(typ.Name, "Error")
	case *ast.SelectorExpr:
		return strings.HasSuffix(typ.Sel.Name, "Error")
	}
	return false
}

// lock recognises types of sync and sync/atomic: they exist to be changed.
func lock(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && (x.Name == "sync" || x.Name == "atomic")
}

// changes finds assignments to the package's variables in functions. Names that a function
// declares itself are its own, wherever it does so.
func changes(t *source.Tree, f *source.File, names map[string]bool) (found []source.Finding) {
	for _, d := range f.AST.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		own := declared(fn)
		check := func(e ast.Expr, how string) {
			id := root(e)
			if id != nil && names[id.Name] && !own[id.Name] {
				found = append(found, source.Finding{Where: t.Position(e), Rule: "variables",
					What: fmt.Sprintf("%s %s %s, a variable at package level", fn.Name.Name, how, id.Name)})
			}
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, l := range n.Lhs {
						check(l, "changes")
					}
				}
			case *ast.IncDecStmt:
				check(n.X, "changes")
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					check(n.X, "takes the address of")
				}
			case *ast.CallExpr:
				if len(n.Args) > 0 && (isIdent(n.Fun, "delete") || isIdent(n.Fun, "clear")) {
					check(n.Args[0], "changes")
				}
			}
			return true
		})
	}
	return found
}

// root gives the variable that x, x.f, x[i] and *x are parts of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// declared lists the names that a function declares: receiver, parameters, results, and all inside.
func declared(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	fields := func(l *ast.FieldList) {
		if l == nil {
			return
		}
		for _, f := range l.List {
			for _, n := range f.Names {
				own[n.Name] = true
			}
		}
	}
	fields(fn.Recv)
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType:
			fields(n.Params)
			fields(n.Results)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, l := range n.Lhs {
					if id, ok := l.(*ast.Ident); ok {
						own[id.Name] = true
					}
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					own[id.Name] = true
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		}
		return true
	})
	return own
}
