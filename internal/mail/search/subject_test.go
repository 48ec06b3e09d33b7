package search

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBaseSubject(t *testing.T) {
	tests := []struct {
		subject, base string
		replied       bool
	}{
		{"", "", false},
		{"hello", "hello", false},
		{"Re: hello", "hello", true},
		{"re:hello", "hello", true},
		{"RE : hello", "hello", true},
		{"Fwd: hello", "hello", true},
		{"fw: hello", "hello", true},
		{"FWD[1]: hello", "hello", true},
		{"Re[2]: hello", "hello", true},
		{"Re [2] : hello", "hello", true},
		{"Re: Fwd: Re: hello", "hello", true},
		{"hello (fwd)", "hello", true},
		{"hello (FWD) (fwd)  ", "hello", true},
		{"hello (fwd) x", "hello (fwd) x", false},
		{"[list] hello", "hello", false},
		{"[list] Re: hello", "hello", true},
		{"Re: [list] hello", "hello", true},
		{"Re: [list] Re: hello", "hello", true},
		{"[a] [b] [c] hello", "hello", false},
		{"[a][b]Re: hello", "hello", true},
		{"[list]", "[list]", false},
		{"[a][b]", "[b]", false},
		{"Re: [list]", "[list]", true},
		{"[list] Re:", "", true},
		{"Re:", "", true},
		{"Re", "Re", false},
		{"Regarding: x", "Regarding: x", false},
		{"[Fwd: hello]", "hello", true},
		{"[fwd: Re: hello]", "hello", true},
		{"[Fwd: [Fwd: hello (fwd)]]", "hello", true},
		{"Re: [Fwd: [list] hello]", "hello", true},
		{"[Fwd: hello", "[Fwd: hello", false},
		{"[fwd:]", "", true},
		{"hello]", "hello]", false},
		{"[un[closed] hello", "[un[closed] hello", false},
		{"hello\t \tworld", "hello world", false},
		{"  hello  world  ", "hello world", false},
		{"Re: Re", "Re", true},
		{"Aw: hello", "Aw: hello", false}, // other languages' prefixes are not in the RFC
		{"(fwd)", "", true},
		{"Re: (fwd)", "", true},
	}
	for _, tt := range tests {
		if base, replied := BaseSubject(tt.subject); base != tt.base || replied != tt.replied {
			t.Errorf("BaseSubject(%q) = %q, %v, want %q, %v", tt.subject, base, replied, tt.base, tt.replied)
		}
	}
}

// A base subject has none to take away any more, and hostile subjects take linear time.
func TestBaseSubjectIsFixed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"re", "fwd", "fw", ":", " ", "[", "]", "(fwd)", "[fwd:", "x", "\t", "ä"})).Draw(t, "parts")
		base, _ := BaseSubject(strings.Join(parts, ""))
		if again, _ := BaseSubject(base); again != base {
			t.Errorf("BaseSubject(%q) = %q", base, again)
		}
	})
	for _, hostile := range []string{"[fwd:", "re[", "re:", "[a]", "(fwd)", "[", "fwd [x", "]", " "} {
		BaseSubject(strings.Repeat(hostile, 1<<18))
	}
	BaseSubject(strings.Repeat("[fwd:", 1<<17) + strings.Repeat("]", 1<<17))
}

func FuzzBaseSubject(f *testing.F) {
	for _, s := range []string{"Re: [a] x (fwd)", "[Fwd: x]", "fw[1]:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		base, _ := BaseSubject(s)
		if len(base) > len(s) {
			t.Errorf("BaseSubject(%q) = %q", s, base)
		}
	})
}
