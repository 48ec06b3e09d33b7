package imap_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/mail/imap"
)

func TestUTF7(t *testing.T) {
	for _, tt := range []struct{ text, utf7 string }{
		{"", ""},
		{"INBOX", "INBOX"},
		{"a b~", "a b~"},
		{"&", "&-"},
		{"a&b", "a&-b"},
		{"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, // RFC 3501 §5.1.3
		{"Entwürfe", "Entw&APw-rfe"},
		{"☺&☺", "&Jjo-&-&Jjo-"},
		{"☺☺", "&JjomOg-"},
		{"\U0001F4E7", "&2D3c5w-"},
		{"é/é", "&AOk-/&AOk-"},
		{"\x7f", "&AH8-"},
	} {
		if got := imap.EncodeUTF7(tt.text); got != tt.utf7 {
			t.Errorf("EncodeUTF7(%q) = %q, want %q", tt.text, got, tt.utf7)
		}
		if got, err := imap.DecodeUTF7(tt.utf7); got != tt.text || err != nil {
			t.Errorf("DecodeUTF7(%q) = %q, %v, want %q", tt.utf7, got, err, tt.text)
		}
	}
	for _, bad := range []string{"&", "&A", "&AOk", "&AOk=-", "&AO-", "&A-", "&AOkA-", "&AGE-", "&Jjo!", "&Jjo-&Jjo-", "&U,BTF2-&ZeVnLIqe-",
		"&U,BTFx-", "é", "\x00", "a\x1f", "\x7f", "&2D0-", "&2D0AYQ-", "&3ec-", "&AO\r\nk-", "&AA-", "&A\n-"} {
		if got, err := imap.DecodeUTF7(bad); err == nil {
			t.Errorf("DecodeUTF7(%q) = %q, want an error", bad, got)
		}
	}
}

func TestUTF7RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ToValidUTF8(rapid.String().Draw(t, "text"), "x")
		wire := imap.EncodeUTF7(text)
		if got, err := imap.DecodeUTF7(wire); got != text || err != nil {
			t.Fatalf("%q is written %q and read as %q, %v", text, wire, got, err)
		}
	})
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "&U,BTFw-/&ZeVnLIqe-", "&-", "&Jjo-&-", "&2D3c5w-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := imap.DecodeUTF7(s)
		if err != nil {
			return
		}
		if again := imap.EncodeUTF7(text); again != s {
			t.Fatalf("%q is read as %q and written as %q: a name has two forms", s, text, again)
		}
	})
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"inbox", "INBOX"}, {"Inbox/x", "INBOX/x"}, {"inboxx", "inboxx"}, {"a/inbox", "a/inbox"}, {"e\u0301", "é"}, {"ınbox", "ınbox"},
	} {
		if got := imap.CanonicalName(tt.in); got != tt.want {
			t.Errorf("CanonicalName(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, good := range []string{"INBOX", "a/b", "Gesendete Objekte", "日本語", ".x", `a"b\`} {
		if err := imap.CheckName(good); err != nil {
			t.Errorf("CheckName(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", "/", "/a", "a/", "a//b", "a\x00", "a\n", "a%", "*", "a\u0085", "a\u2028b", "\xff", "\ufffd",
		strings.Repeat("x", imap.LevelLengthMax+1), strings.Repeat("x/", imap.LevelsMax) + "x", strings.Repeat("xxxxxxx/", 200) + "x"} {
		if imap.CheckName(bad) == nil {
			t.Errorf("CheckName(%.20q) = nil, want an error", bad)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		{"*", []string{"", "a", "a/b", "/"}, nil},
		{"%", []string{"", "a", "INBOX"}, []string{"a/b", "/"}},
		{"a", []string{"a"}, []string{"", "A", "aa", "a/b"}},
		{"a*", []string{"a", "ab", "a/b"}, []string{"ba"}},
		{"a%", []string{"a", "ab"}, []string{"a/b"}},
		{"a/%", []string{"a/", "a/b"}, []string{"a", "a/b/c"}},
		{"%/%", []string{"a/b", "/"}, []string{"a", "a/b/c"}},
		{"*/b", []string{"a/b", "/b", "a/c/b"}, []string{"b", "a/bb"}},
		{"%b*", []string{"b", "ab", "aab/c"}, []string{"a/b"}},
		{"*%", []string{"", "a/b"}, nil},
		{"%*%", []string{"", "a/b"}, nil},
		{"a%b%c", []string{"abc", "axbxc"}, []string{"ab", "a/bc", "abxc/"}},
		{"%a/*z", []string{"a/z", "xa/y/z"}, []string{"x/a/z"}},
	} {
		p := imap.CompilePattern(tt.pattern)
		for _, name := range tt.yes {
			if !p.Match(name) {
				t.Errorf("%q does not match %q", tt.pattern, name)
			}
		}
		for _, name := range tt.no {
			if p.Match(name) {
				t.Errorf("%q matches %q", tt.pattern, name)
			}
		}
	}
}

// The model tries everything.
func matches(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	switch c := pattern[0]; c {
	case '*', '%':
		for i := 0; ; i++ {
			if matches(pattern[1:], name[i:]) {
				return true
			}
			if i == len(name) || c == '%' && name[i] == '/' {
				return false
			}
		}
	default:
		return name != "" && name[0] == c && matches(pattern[1:], name[1:])
	}
}

func TestPatternAgainstModel(t *testing.T) {
	text := func(letters string, n int) *rapid.Generator[string] {
		return rapid.StringOfN(rapid.RuneFrom([]rune(letters)), 0, n, -1)
	}
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := text("ab/*%", 9).Draw(t, "pattern"), text("ab/", 9).Draw(t, "name")
		if got, want := imap.CompilePattern(pattern).Match(name), matches(pattern, name); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, name, got, want)
		}
		// A prefix and a suffix that take the states over the border of a word.
		long := strings.Repeat("a", 60)
		if got := imap.CompilePattern(long + pattern + long).Match(long + name + long); matches(pattern, name) && !got {
			t.Fatalf("%q does not match %q between many letters", pattern, name)
		}
		if got, want := imap.CompilePattern("%"+long+"/"+pattern).Match("b"+long+"/"+name), matches(pattern, name); got != want {
			t.Fatalf("%q matches %q behind many letters: %v, want %v", pattern, name, got, want)
		}
	})
}

func TestFullPatterns(t *testing.T) {
	l := imap.List{Reference: "inbox/", Patterns: []string{"%", "a"}}
	if got := strings.Join(l.FullPatterns(), " "); got != "INBOX/% INBOX/a" {
		t.Errorf("FullPatterns = %s", got)
	}
	l = imap.List{Reference: "a/", Patterns: []string{"", "b"}, Several: true} // RFC 9051 §6.3.9: empty ones mean nothing
	if got := strings.Join(l.FullPatterns(), " "); got != "a/b" {
		t.Errorf("FullPatterns = %s", got)
	}
}
