package policy

import (
	"strings"
	"testing"

	"porcupine/internal/lint/source"
)

const example = `
group @words: internal/words   # a comment
room internal/words:
room internal/core: @words
room internal/disk: @words
room internal/wiring: *
tests internal/core: internal/fake
room internal/fake:
pure internal/words internal/core
files internal: internal/disk
network internal: internal/disk
outside example.org/db: internal/disk
outside-tests example.org/check: *
`

const mod = "module m\n\nrequire (\n\texample.org/db v1.0.0\n\texample.org/check v1.0.0\n)\n"

func TestCheck(t *testing.T) {
	tests := []struct {
		name, path, src string
		want            string // part of the one finding; "" for none
	}{
		{"downward", "internal/core/a.go", `import "m/internal/words"`, ""},
		{"upward", "internal/words/a.go", `import "m/internal/core"`, "internal/words may not import internal/core"},
		{"sideways", "internal/core/a.go", `import "m/internal/disk"`, "internal/core may not import internal/disk"},
		{"sideways from a test", "internal/core/a_test.go", `import "m/internal/disk"`, "test files of internal/core may not import internal/disk"},
		{"allowed in tests", "internal/core/a_test.go", `import "m/internal/fake"`, ""},
		{"allowed in tests only", "internal/core/a.go", `import "m/internal/fake"`, "may not import internal/fake"},
		{"own sub-package", "internal/disk/a.go", `import "m/internal/disk/page"`, ""},
		{"private sub-package", "internal/core/a.go", `import "m/internal/words/inner"`, "private to internal/words"},
		{"wiring sees all", "internal/wiring/a.go", `import "m/internal/disk/page"`, ""},
		{"no room", "internal/stray/a.go", ``, "belongs to no room"},
		{"to no room", "internal/core/a.go", `import "m/internal/stray"`, "belongs to no room"},
		{"third party", "internal/disk/a.go", `import "example.org/db/table"`, ""},
		{"third party elsewhere", "internal/core/a.go", `import "example.org/db"`, "may not import example.org/db"},
		{"third party for tests", "internal/core/a_test.go", `import "example.org/check"`, ""},
		{"third party for tests only", "internal/core/a.go", `import "example.org/check"`, "no 'outside' line"},
		{"third party without a line", "internal/disk/a.go", `import "example.net/x"`, "no 'outside' line"},
		{"lock in a core", "internal/core/a.go", `import "sync"`, "may not import sync"},
		{"lock in a core's test", "internal/core/a_test.go", `import "sync"`, ""},
		{"addresses in a core", "internal/core/a.go", `import "net/netip"`, ""},
		{"clock", "internal/core/a.go", "import \"time\"\nvar x = time.Now()", "not from time.Now"},
		{"duration", "internal/core/a.go", "import \"time\"\nconst x = time.Second", ""},
		{"global randomness", "internal/core/a.go", "import \"math/rand/v2\"\nvar x = rand.IntN(3)", "not from rand.IntN"},
		{"given randomness", "internal/core/a.go", "import \"math/rand/v2\"\nfunc f(r *rand.Rand) { r.IntN(3) }", ""},
		{"goroutine", "internal/core/a.go", "func f() { go f() }", "no goroutine"},
		{"select", "internal/core/a.go", "func f() { select {} }", "does not wait"},
		{"goroutine elsewhere", "internal/disk/a.go", "func f() { go f() }", ""},
		{"files", "internal/wiring/a.go", "import \"os\"\nvar x, _ = os.Open(`x`)", "may not open files (os.Open)"},
		{"files on the disk", "internal/disk/a.go", "import \"os\"\nvar x, _ = os.Open(`x`)", ""},
		{"environment is no file", "internal/wiring/a.go", "import \"os\"\nvar x = os.Getenv(`x`)", ""},
		{"network", "internal/wiring/a.go", "import \"net\"\nvar d net.Dialer", "may not dial or listen (Dialer)"},
	}
	p, err := Parse("example", example)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := source.New("m", map[string]string{"go.mod": mod, tt.path: "package a\n" + tt.src})
			if err != nil {
				t.Fatal(err)
			}
			found := p.Check(tree)
			switch {
			case tt.want == "" && len(found) > 0:
				t.Errorf("Check = %v, want nothing", found)
			case tt.want != "" && (len(found) != 1 || !strings.Contains(found[0].What, tt.want)):
				t.Errorf("Check = %v, want one with %q", found, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"keyword", "hall a: b", `x:1: unknown keyword "hall"`},
		{"no colon", "\nroom a b", "x:2: "},
		{"unknown group", "room a: @b", "group @b is not defined above"},
		{"twice", "room a:\nroom a:", "room a is there already"},
		{"tests of nothing", "tests a: b", "no room yet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse("x", tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%q) = %v, want %q", tt.text, err, tt.want)
			}
		})
	}
}
