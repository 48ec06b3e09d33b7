package credential

import (
	"crypto/sha256"
	"strings"
	"testing"

	xdg "github.com/xdg-go/scram"
)

var cheap = Params{ArgonMemory: 64, ArgonTime: 1, SCRAMIterations: 4096}

// The default cost is that of OWASP, the two records have salts of their own, and neither shows
// the password.
func TestAttack13_StoredParameters(t *testing.T) {
	c, err := New("correct horse", Params{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Password, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("password record %q: want argon2id with 19 MiB, t=2, p=1", c.Password)
	}
	if c.SCRAM == nil || c.SCRAM.Iterations != 600_000 || len(c.SCRAM.Salt) != SaltLength {
		t.Errorf("SCRAM record %+v: want 600,000 iterations", c.SCRAM)
	}
	_, salt, _, err := parse(c.Password)
	if err != nil || string(salt) == string(c.SCRAM.Salt) {
		t.Errorf("the salts are one: %x (%v)", salt, err)
	}
	if ok, err := c.Verify("correct horse"); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
	if c, err := New("x", Params{ArgonMemory: 64, ArgonTime: 1, NoSCRAM: true}); err != nil || c.SCRAM != nil {
		t.Errorf("NoSCRAM made %+v, %v", c.SCRAM, err)
	}
}

func TestVerify(t *testing.T) {
	for _, tt := range []struct {
		set, given string
		want       bool
	}{
		{"secret", "secret", true},
		{"secret", "Secret", false},
		{"secret", "secret ", false},
		{"secret", "", false},
		{"pässwörd", "pa\u0308sswo\u0308rd", true}, // one password, spelt in two ways
		{"a\u00a0b", "a b", true},
		{strings.Repeat("x", PasswordLengthMax), strings.Repeat("x", PasswordLengthMax), true},
	} {
		c, err := New(tt.set, cheap)
		if err != nil {
			t.Errorf("New(%q): %v", tt.set, err)
			continue
		}
		if got, err := c.Verify(tt.given); got != tt.want || err != nil {
			t.Errorf("Verify(%q) of %q = %v, %v, want %v", tt.given, tt.set, got, err, tt.want)
		}
		if err := c.Check(); err != nil {
			t.Errorf("Check of %q: %v", tt.set, err)
		}
	}
	for _, bad := range []string{"", "a\x00b", "a\nb", "\xff", strings.Repeat("x", PasswordLengthMax+1)} {
		if _, err := New(bad, cheap); err == nil {
			t.Errorf("New(%q) succeeded", bad)
		}
	}
	a, _ := New("same", cheap)
	b, _ := New("same", cheap)
	if a.Password == b.Password {
		t.Error("two records of one password are equal")
	}
	if ok, err := Decoy(cheap).Verify("secret"); ok || err != nil {
		t.Errorf("Decoy matched: %v, %v", ok, err)
	}
}

// A client of another hand proves the password to a server that has our keys.
func TestSCRAMWithAnotherClient(t *testing.T) {
	const password = "pass, wörd"
	c, err := New(password, cheap)
	if err != nil {
		t.Fatal(err)
	}
	server, err := xdg.SHA256.NewServer(func(string) (xdg.StoredCredentials, error) {
		return xdg.StoredCredentials{KeyFactors: xdg.KeyFactors{Salt: string(c.SCRAM.Salt), Iters: c.SCRAM.Iterations},
			StoredKey: c.SCRAM.StoredKey, ServerKey: c.SCRAM.ServerKey}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]bool{password: true, "wrong": false} {
		client, err := xdg.SHA256.NewClient("u", given, "")
		if err != nil {
			t.Fatal(err)
		}
		cc, sc := client.NewConversation(), server.NewConversation()
		message := ""
		for range 2 {
			if message, err = cc.Step(message); err != nil {
				break
			}
			if message, err = sc.Step(message); err != nil {
				break
			}
		}
		if sc.Valid() != want {
			t.Errorf("SCRAM with %q: valid %v (%v), want %v", given, sc.Valid(), err, want)
		}
	}
}

var recordTests = []string{
	"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"",
	"secret",
	"$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"$argon2id$v=18$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"$argon2id$v=19$m=64,t=4000000,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"$argon2id$v=19$m=64,t=0,p=0$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"$argon2id$v=19$m=64,t=1,p=1$$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$",
	"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$A",
	"$argon2id$v=19$m=-1,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
}

func TestParseRecord(t *testing.T) {
	for i, s := range recordTests {
		if _, _, _, err := parse(s); (err == nil) != (i == 0) {
			t.Errorf("parse(%q) = %v", s, err)
		}
	}
	bad := Credential{Password: recordTests[0], SCRAM: &SCRAM{Iterations: 1, Salt: make([]byte, 16), StoredKey: make([]byte, sha256.Size), ServerKey: make([]byte, sha256.Size)}}
	if bad.Check() == nil {
		t.Error("a SCRAM record with one iteration is well formed")
	}
	for _, p := range []Params{{SCRAMIterations: 1}, {SCRAMIterations: -1}, {ArgonMemory: 1 << 30}, {ArgonMemory: 1}, {ArgonThreads: 200}} {
		if _, err := New("x", p); err == nil {
			t.Errorf("New with %+v succeeded", p)
		}
	}
}

// What parses is cheap enough to compute and formats to itself.
func FuzzParseRecord(f *testing.F) {
	for _, s := range recordTests {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, salt, hash, err := parse(s)
		if err != nil {
			return
		}
		if p.ArgonMemory > argonMemoryMax || p.ArgonTime > argonTimeMax || p.ArgonThreads > argonThreadsMax {
			t.Fatalf("parse(%q) = %+v: too costly", s, p)
		}
		again, _, _, err := parse(format(p, salt, hash))
		if err != nil || again != p {
			t.Fatalf("parse(%q) = %+v, and again %+v, %v", s, p, again, err)
		}
	})
}
