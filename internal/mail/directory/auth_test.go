package directory

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory/login"
)

func TestAuthenticate(t *testing.T) {
	w := newWorldWith(t, 3, Config{LoginDomain: "x.test"})
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test", "off@x.test")
	if err := w.dirs[2].EditUser(ctx, "off@x.test", func(p *Profile) { p.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ login, password, user, err string }{
		{"u@x.test", "secret", "u@x.test", "ok"},
		{"U@X.test", "secret", "u@x.test", "ok"},
		{"u", "secret", "u@x.test", "ok"},
		{"u@x.test", "Secret", "", "denied"},
		{"u@x.test", "", "", "denied"},
		{"u+x@x.test", "secret", "", "denied"},
		{"nobody@x.test", "secret", "", "denied"},
		{"off@x.test", "secret", "", "denied"},
		{"", "secret", "", "denied"},
		{"not an address", "secret", "", "denied"},
		{strings.Repeat("a", 5000), "secret", "", "denied"},
		{"u@x.test\x00", "secret", "", "denied"},
	} {
		for i, d := range w.dirs {
			u, err := d.Authenticate(ctx, client, tt.login, tt.password)
			if string(u) != tt.user || kind(err) != tt.err {
				t.Errorf("node %d: Authenticate(%.20q, %q) = %q, %v, want %q, %s", i+1, tt.login, tt.password, u, err, tt.user, tt.err)
			}
		}
	}
}

func TestSCRAM(t *testing.T) {
	w := newWorld(t, 2)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test", "off@x.test")
	if err := w.dirs[0].EditUser(ctx, "off@x.test", func(p *Profile) { p.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	u, keys, err := w.dirs[1].SCRAM(ctx, client, "U@x.test")
	if u != "u@x.test" || err != nil || keys.Iterations != 4096 || len(keys.Salt) != 16 || len(keys.StoredKey) != 32 || len(keys.ServerKey) != 32 {
		t.Errorf("SCRAM = %q, %+v, %v", u, keys, err)
	}
	for _, name := range []string{"off@x.test", "nobody@x.test", "?"} {
		if _, _, err := w.dirs[1].SCRAM(ctx, client, name); kind(err) != "not found" {
			t.Errorf("SCRAM(%q) = %v, want not found", name, err)
		}
	}
}

// The salt made up for somebody who has no keys hangs on the name beside the error: "nobody" and
// "NOBODY@x.test" must not have two, or users who exist would be told by having one.
func TestAttack10_SCRAMNameOfUnknownUser(t *testing.T) {
	w := newWorldWith(t, 2, Config{LoginDomain: "x.test"})
	w.addDomain("x.test", DomainSettings{})
	for _, login := range []string{"nobody", "NOBODY@X.test", `"nobody"@x.test`, "nobody@x.test"} {
		u, _, err := w.dirs[0].SCRAM(context.Background(), client, login)
		if u != "nobody@x.test" || kind(err) != "not found" {
			t.Errorf("SCRAM(%q) = %q, %v, want nobody@x.test beside not found", login, u, err)
		}
	}
}

// Unknown users, disabled ones and wrong passwords are told apart by nothing.
func TestAttack10_UserEnumeration(t *testing.T) {
	w := newWorld(t, 1)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test", "off@x.test")
	if err := w.dirs[0].EditUser(ctx, "off@x.test", func(p *Profile) { p.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	_, want := w.dirs[0].Authenticate(ctx, client, "u@x.test", "wrong")
	for _, name := range []string{"nobody@x.test", "off@x.test", "u@else.test", "?"} {
		for _, password := range []string{"wrong", "secret"} {
			if _, err := w.dirs[0].Authenticate(ctx, client, name, password); err == nil || err.Error() != want.Error() {
				t.Errorf("Authenticate(%q) = %v, want %v", name, err, want)
			}
		}
	}
}

// A2: after SetPassword no member accepts the old password, remembered or not.
func TestA2_RevokedPassword(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	for range 2 { // the second is remembered
		if _, err := w.dirs[1].Authenticate(ctx, client, "u@x.test", "secret"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.dirs[2].SetPassword(ctx, "u@x.test", w.credential("other")); err != nil {
		t.Fatal(err)
	}
	for _, manager := range []cluster.NodeID{1, 2, 3} {
		w.MoveBucket("u@x.test", manager)
		if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "secret"); kind(err) != "denied" {
			t.Errorf("manager %d: old password = %v, want denied", manager, err)
		}
		if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "other"); err != nil {
			t.Errorf("manager %d: new password = %v", manager, err)
		}
	}
	if err := w.dirs[0].EditUser(ctx, "u@x.test", func(p *Profile) { p.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "other"); kind(err) != "denied" {
		t.Errorf("disabled user = %v, want denied", err)
	}
	// A replica that was away comes back with the older version: the newer one wins.
	if err := w.dirs[0].EditUser(ctx, "u@x.test", func(p *Profile) { p.Disabled = false }); err != nil {
		t.Fatal(err)
	}
	w.SetMembers(1, 2)
	if err := w.dirs[0].SetPassword(ctx, "u@x.test", w.credential("third")); err != nil {
		t.Fatal(err)
	}
	w.SetMembers(1, 2, 3)
	if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "other"); kind(err) != "denied" {
		t.Errorf("password of a stale replica = %v, want denied", err)
	}
}

// Neither disk nor logs nor errors show a password.
func TestAttack13_NoPlaintext(t *testing.T) {
	const canary = "canary-7f3a91-Pa55word"
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	_, err := w.dirs[0].AddUser(ctx, addr(t, "u@x.test"), NewUser{Credential: w.credential(canary)})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(w.Disks()), canary) {
		t.Error("a disk contains the password")
	}
	for _, name := range []string{"u@x.test", "v@x.test"} {
		if _, err := w.dirs[1].Authenticate(ctx, client, name, canary+"!"); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("error of a wrong login = %v", err)
		}
	}
	if _, err := w.dirs[0].NewCredential(canary + "\x00"); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("error of a bad password = %v", err)
	}
}

// One network that guesses at one account is stopped, whichever nodes it uses; others are not.
func TestAttack09_BruteForceOverAllNodes(t *testing.T) {
	w := newWorldWith(t, 3, Config{Login: login.Config{FailuresMax: 5}})
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	attacker := mail.Client{Service: "pop3", Remote: netip.MustParseAddr("2001:db8:1:1::1")}
	evaluated := 0
	for i := range 100 {
		attacker.Remote = attacker.Remote.Next() // within its /64
		_, err := w.dirs[i%3].Authenticate(ctx, attacker, "u@x.test", fmt.Sprint("guess", i))
		switch kind(err) {
		case "denied":
			evaluated++
		case "limit":
		default:
			t.Fatalf("guess %d = %v", i, err)
		}
	}
	if evaluated != 5 {
		t.Errorf("%d guesses were evaluated, want 5", evaluated)
	}
	if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "secret"); err != nil {
		t.Errorf("the user from elsewhere = %v", err)
	}
}

// silent is a node whose questions nobody answers.
type silent struct{ substrate }

func (silent) Ask(ctx context.Context, _, _ string, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, cluster.Errorf(cluster.KindUnavailable, "ask", "%w", context.Cause(ctx))
}

// V1: a login whose manager is silent ends for the time being, and does not wait for ever.
func TestV1_LoginOfASilentManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(silent{newWorld(t, 1).Node(1)}, Config{Credentials: cheap})
		if err != nil {
			t.Fatal(err)
		}
		for name, ask := range map[string]func() error{
			"Authenticate": func() error { _, err := d.Authenticate(context.Background(), client, "u@x.test", "secret"); return err },
			"SCRAM":        func() error { _, _, err := d.SCRAM(context.Background(), client, "u@x.test"); return err },
		} {
			began := time.Now()
			if err := ask(); !cluster.IsKind(err, cluster.KindUnavailable) || time.Since(began) != d.cfg.LoginMax {
				t.Errorf("%s = %v after %v, want unavailable after %v", name, err, time.Since(began), d.cfg.LoginMax)
			}
		}
	})
}
