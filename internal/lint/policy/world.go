package policy

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"

	"porcupine/internal/lint/source"
)

// impureImports are packages of the standard library that a core has no use for: they wait, lock,
// log, or reach the world.
var impureImports = []string{"bufio", "context", "crypto/rand", "crypto/tls", "io/fs", "io/ioutil",
	"log", "net", "net/http", "net/textproto", "os", "path/filepath", "runtime", "sync", "syscall",
	"testing", "unsafe"}

func impure(imported string) bool {
	if imported == "net/netip" {
		return false
	}
	return slices.ContainsFunc(impureImports, func(i string) bool { return within(imported, i) })
}

// clockFuncs and the like are functions of the standard library that reach the world.
var (
	clockFuncs = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
	fileFuncs  = []string{"Open", "OpenFile", "OpenRoot", "OpenInRoot", "Create", "CreateTemp", "ReadFile", "WriteFile",
		"ReadDir", "Mkdir", "MkdirAll", "MkdirTemp", "Remove", "RemoveAll", "Rename", "Link", "Symlink", "Truncate",
		"Chmod", "Chown", "Stat", "Lstat", "DirFS", "CopyFS"}
	dialFuncs = []string{"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Dialer", "Listen",
		"ListenTCP", "ListenUDP", "ListenUnix", "ListenPacket", "ListenConfig", "ListenMulticastUDP"}
	tlsFuncs = []string{"Dial", "DialWithDialer", "Dialer", "Listen"}
	// randTypes are what math/rand/v2 offers without its global source.
	randTypes = []string{"Rand", "New", "Source", "NewPCG", "PCG", "NewChaCha8", "ChaCha8", "Zipf", "NewZipf", "NewSource"}
)

// world finds uses of the world where the policy does not allow them.
func (p *Policy) world(t *source.Tree, home string, f *source.File) []source.Finding {
	var found []source.Finding
	report := func(n ast.Node, rule, format string, args ...any) {
		found = append(found, source.Finding{Where: t.Position(n), Rule: rule, What: fmt.Sprintf(format, args...)})
	}
	core := slices.Contains(p.pure, home)
	noFiles, noNetwork := !p.mayReach(p.files, home), !p.mayReach(p.network, home)
	uses := func(sel *ast.SelectorExpr, importPath string, names []string) bool {
		x, ok := sel.X.(*ast.Ident)
		return ok && x.Name == f.ImportName(importPath) && slices.Contains(names, sel.Sel.Name)
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if core {
				report(n, "pure", "%s is a core: no goroutine in it", home)
			}
		case *ast.SelectStmt:
			if core {
				report(n, "pure", "%s is a core: it does not wait", home)
			}
		case *ast.SelectorExpr:
			switch {
			case core && uses(n, "time", clockFuncs):
				report(n, "pure", "%s is a core: time comes in as a value, not from time.%s", home, n.Sel.Name)
			case core && globalRand(f, n):
				report(n, "pure", "%s is a core: randomness comes in as a *rand.Rand, not from rand.%s", home, n.Sel.Name)
			case noFiles && uses(n, "os", fileFuncs):
				report(n, "files", "%s may not open files (os.%s): no 'files' line allows it", home, n.Sel.Name)
			case noNetwork && (uses(n, "net", dialFuncs) || uses(n, "crypto/tls", tlsFuncs)):
				report(n, "network", "%s may not dial or listen (%s): no 'network' line allows it", home, n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// globalRand reports whether a selector uses the global source of math/rand.
func globalRand(f *source.File, sel *ast.SelectorExpr) bool {
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	for _, i := range []string{"math/rand", "math/rand/v2"} {
		if name := f.ImportName(i); name != "" && x.Name == name {
			return !slices.Contains(randTypes, sel.Sel.Name)
		}
	}
	return false
}

// mayReach reports whether a room may do what the lines restrict: it may where no line covers it.
func (p *Policy) mayReach(lines map[string][]string, home string) bool {
	for outer, allowed := range lines {
		if within(home, outer) && !slices.Contains(allowed, home) {
			return false
		}
	}
	return true
}

// String lists the policy's rooms, for error messages of tests.
func (p *Policy) String() string { return strings.Join(p.Rooms(), "\n") }
