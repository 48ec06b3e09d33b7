package sasl_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xdg "github.com/xdg-go/scram"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/sasl"
)

// users is a Backend: one user, alice, whose password is "wonder land".
type users struct {
	err error // if not nil, all that it knows

	mu    sync.Mutex
	calls []string // methods and logins
	keys  mail.SCRAMKeys
}

const (
	alice      = "alice@example.test"
	password   = "wonder land"
	iterations = 4096
)

func newUsers() *users {
	client, err := xdg.SHA256.NewClient(alice, password, "")
	if err != nil {
		panic(err)
	}
	c, err := client.GetStoredCredentialsWithError(xdg.KeyFactors{Salt: "0123456789abcdef", Iters: iterations})
	if err != nil {
		panic(err)
	}
	return &users{keys: mail.SCRAMKeys{Salt: []byte(c.Salt), Iterations: c.Iters, StoredKey: c.StoredKey, ServerKey: c.ServerKey}}
}

func (u *users) note(s string) { u.mu.Lock(); u.calls = append(u.calls, s); u.mu.Unlock() }

func (u *users) evaluated() int { u.mu.Lock(); defer u.mu.Unlock(); return len(u.calls) }

func (u *users) Authenticate(_ context.Context, _ mail.Client, login, pw string) (mail.User, error) {
	u.note("Authenticate " + login)
	switch {
	case u.err != nil:
		return "", u.err
	case strings.ToLower(login) != alice:
		return "", cluster.Errorf(cluster.KindNotFound, "authenticate", "no user %s", login)
	case pw != password:
		return "", cluster.Errorf(cluster.KindDenied, "authenticate", "wrong password for %s", login)
	}
	return alice, nil
}

func (u *users) SCRAM(_ context.Context, _ mail.Client, login string) (mail.User, mail.SCRAMKeys, error) {
	u.note("SCRAM " + login)
	switch {
	case u.err != nil:
		return "", mail.SCRAMKeys{}, u.err
	case strings.ToLower(login) != alice:
		return "", mail.SCRAMKeys{}, cluster.Errorf(cluster.KindNotFound, "scram", "no user %s", login)
	}
	return alice, u.keys, nil
}

func clientFrom(addr string) mail.Client {
	return mail.Client{Service: "pop3", Remote: netip.MustParseAddr(addr), TLS: true}
}

func newAuth(t testing.TB, cfg sasl.Config) *sasl.Authenticator {
	t.Helper()
	if cfg.FakeSecret == nil {
		cfg.FakeSecret = []byte("for tests")
	}
	cfg.ScramIterations = iterations
	a, err := sasl.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return a
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// nothing stands for a client that sends no initial response.
const nothing = "(nothing)"

// verdict names an outcome for tables.
func verdict(done bool, err error) string {
	switch {
	case errors.Is(err, sasl.ErrAborted):
		return "aborted"
	case err != nil:
		return cluster.KindOf(err).String()
	case done:
		return "in"
	}
	return "more"
}

// converse plays a client's lines and gives the challenges, decoded, and the outcome.
func converse(t testing.TB, a *sasl.Authenticator, mechanism string, lines []string) (challenges []string, outcome string, user mail.User) {
	t.Helper()
	x, err := a.Start(clientFrom("192.0.2.1"), mechanism)
	if err != nil {
		return nil, "start: " + verdict(false, err), ""
	}
	outcome = "more"
	for _, line := range lines {
		var response []byte
		if line != nothing {
			response = []byte(line)
		}
		challenge, done, err := x.Next(context.Background(), response)
		if outcome = verdict(done, err); outcome != "more" {
			break
		}
		c, err := base64.StdEncoding.DecodeString(string(challenge))
		if err != nil {
			t.Fatalf("challenge %q is not base64: %v", challenge, err)
		}
		challenges = append(challenges, string(c))
	}
	return challenges, outcome, x.User()
}

// cases are exchanges of PLAIN and LOGIN, for the table test and the fuzzer.
var cases = []struct {
	name       string
	mechanism  string
	lines      []string
	challenges []string
	want       string
}{
	{"plain with initial response", "PLAIN", []string{b64("\x00" + alice + "\x00" + password)}, nil, "in"},
	{"plain lower case", "plain", []string{b64("\x00" + alice + "\x00" + password)}, nil, "in"},
	{"plain without", "PLAIN", []string{nothing, b64("\x00" + alice + "\x00" + password)}, []string{""}, "in"},
	{"plain, own authzid", "PLAIN", []string{b64(alice + "\x00" + alice + "\x00" + password)}, nil, "in"},
	{"plain, other authzid", "PLAIN", []string{b64("bob\x00" + alice + "\x00" + password)}, nil, "invalid"},
	{"plain, wrong password", "PLAIN", []string{b64("\x00" + alice + "\x00wrong")}, nil, "denied"},
	{"plain, no such user", "PLAIN", []string{b64("\x00bob\x00wrong")}, nil, "denied"},
	{"plain, empty", "PLAIN", []string{"="}, nil, "invalid"},
	{"plain, empty second", "PLAIN", []string{nothing, ""}, []string{""}, "invalid"},
	{"plain, = is for the first line", "PLAIN", []string{nothing, "="}, []string{""}, "invalid"},
	{"plain, NUL authzid", "PLAIN", []string{b64("\x00\x00" + alice + "\x00" + password)}, nil, "invalid"},
	{"plain, two parts", "PLAIN", []string{b64(alice + "\x00" + password)}, nil, "invalid"},
	{"plain, no name", "PLAIN", []string{b64("\x00\x00" + password)}, nil, "invalid"},
	{"plain, no password", "PLAIN", []string{b64("\x00" + alice + "\x00")}, nil, "invalid"},
	{"plain, control character", "PLAIN", []string{b64("\x00ali\r\nce\x00" + password)}, nil, "invalid"},
	{"plain, not UTF-8", "PLAIN", []string{b64("\x00" + alice + "\x00\xff\xfe")}, nil, "invalid"},
	{"plain, long name", "PLAIN", []string{b64("\x00" + strings.Repeat("a", sasl.LoginLengthMax+1) + "\x00" + password)}, nil, "invalid"},
	{"plain, long password", "PLAIN", []string{b64("\x00" + alice + "\x00" + strings.Repeat("a", sasl.PasswordLengthMax+1))}, nil, "invalid"},
	{"not base64", "PLAIN", []string{"%%%%"}, nil, "invalid"},
	{"base64 with line ends", "PLAIN", []string{"QUJD\nQUJD"}, nil, "invalid"},
	{"base64 without padding", "PLAIN", []string{"QUI"}, nil, "invalid"},
	{"base64 with stray bits", "PLAIN", []string{"QUJ="}, nil, "invalid"},
	{"too long", "PLAIN", []string{strings.Repeat("A", sasl.LineLengthMax+4)}, nil, "invalid"},
	{"abort first", "PLAIN", []string{nothing, "*"}, []string{""}, "aborted"},
	{"login", "LOGIN", []string{nothing, b64(alice), b64(password)}, []string{"Username:", "Password:"}, "in"},
	{"login with initial response", "login", []string{b64(alice), b64(password)}, []string{"Password:"}, "in"},
	{"login, wrong password", "LOGIN", []string{nothing, b64(alice), b64("x")}, []string{"Username:", "Password:"}, "denied"},
	{"login, no such user", "LOGIN", []string{nothing, b64("bob"), b64("x")}, []string{"Username:", "Password:"}, "denied"},
	{"login, empty name", "LOGIN", []string{nothing, ""}, []string{"Username:"}, "invalid"},
	{"login, abort", "LOGIN", []string{nothing, b64(alice), "*"}, []string{"Username:", "Password:"}, "aborted"},
	{"scram, nonsense", "SCRAM-SHA-256", []string{b64("nonsense")}, nil, "invalid"},
	{"scram, abort", "SCRAM-SHA-256", []string{nothing, "*"}, []string{""}, "aborted"},
	{"scram, channel binding not offered", "SCRAM-SHA-256", []string{b64("p=tls-exporter,,n=alice,r=abc")}, nil, "invalid"},
	{"scram, other authzid", "SCRAM-SHA-256", []string{b64("n,a=bob,n=alice,r=abc")}, nil, "invalid"},
	{"scram, empty name", "SCRAM-SHA-256", []string{b64("n,,n=,r=abc")}, nil, "invalid"},
	{"unknown mechanism", "CRAM-MD5", []string{nothing}, nil, "start: invalid"},
	{"long mechanism", strings.Repeat("A", 10000), []string{nothing}, nil, "start: invalid"},
}

func TestAttack11_Exchanges(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuth(t, sasl.Config{Backend: newUsers()})
			challenges, got, user := converse(t, a, tt.mechanism, tt.lines)
			if got != tt.want || !slices.Equal(challenges, tt.challenges) {
				t.Errorf("exchange = %q %q, want %q %q", challenges, got, tt.challenges, tt.want)
			}
			if (user == alice) != (got == "in") {
				t.Errorf("User() = %q after %q", user, got)
			}
		})
	}
}

func TestExchangeIsOverAfterItsEnd(t *testing.T) {
	a := newAuth(t, sasl.Config{Backend: newUsers()})
	x, err := a.Start(clientFrom("192.0.2.1"), "PLAIN")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"denied", "invalid", "invalid"} {
		_, done, err := x.Next(context.Background(), []byte(b64("\x00bob\x00x")))
		if got := verdict(done, err); got != want {
			t.Errorf("Next = %v, want %v", got, want)
		}
	}
}

// scramLogin plays a whole SCRAM exchange with xdg's client; it gives salt and outcome.
func scramLogin(t testing.TB, a *sasl.Authenticator, login, pw string) (salt, outcome string, user mail.User) {
	t.Helper()
	client, err := xdg.SHA256.NewClient(login, pw, "")
	if err != nil {
		t.Fatal(err)
	}
	conv := client.NewConversation()
	x, err := a.Start(clientFrom("192.0.2.1"), "SCRAM-SHA-256")
	if err != nil {
		t.Fatal(err)
	}
	challenge := ""
	for range 4 {
		var answer string
		if !conv.Done() {
			if answer, err = conv.Step(challenge); err != nil {
				t.Fatalf("client refuses %q: %v", challenge, err)
			}
		}
		raw, done, err := x.Next(context.Background(), []byte(b64(answer)))
		if outcome = verdict(done, err); outcome != "more" {
			if done && !conv.Valid() {
				t.Error("server is done and the client has not verified it")
			}
			return salt, outcome, x.User()
		}
		decoded, err := base64.StdEncoding.DecodeString(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		challenge = string(decoded)
		if _, after, found := strings.Cut(challenge, ",s="); found && salt == "" {
			salt, _, _ = strings.Cut(after, ",")
		}
	}
	t.Fatal("no end after 4 steps")
	return "", "", ""
}

func TestScramWithThirdPartyClient(t *testing.T) {
	a := newAuth(t, sasl.Config{Backend: newUsers()})
	for _, tt := range []struct{ login, password, want string }{
		{alice, password, "in"},
		{alice, "wrong", "denied"},
		{"bob@example.test", password, "denied"},
	} {
		_, got, user := scramLogin(t, a, tt.login, tt.password)
		if got != tt.want || (user == alice) != (got == "in") {
			t.Errorf("SCRAM %q %q = %v %q, want %v", tt.login, tt.password, got, user, tt.want)
		}
		a = newAuth(t, sasl.Config{Backend: newUsers()}) // without the guard's memory
	}
}

// TestAttack10 shows that a user who does not exist looks like one who does.
func TestAttack10_FakeSaltIsSteady(t *testing.T) {
	salt := func(secret, login string) string {
		a := newAuth(t, sasl.Config{Backend: newUsers(), FakeSecret: []byte(secret)})
		challenges, outcome, _ := converse(t, a, "SCRAM-SHA-256", []string{b64("n,,n=" + login + ",r=abc")})
		if outcome != "more" || len(challenges) != 1 {
			t.Fatalf("SCRAM %q = %q %v", login, challenges, outcome)
		}
		_, rest, _ := strings.Cut(challenges[0], ",s=")
		return rest
	}
	bob := salt("one", "bob@example.test")
	if again := salt("one", "bob@example.test"); again != bob {
		t.Errorf("salt of a user who does not exist changed from %q to %q", bob, again)
	}
	if upper := salt("one", "BOB@Example.Test"); upper != bob {
		t.Errorf("salt depends on the case of the name: %q and %q", bob, upper)
	}
	if other := salt("one", "carol@example.test"); other == bob {
		t.Errorf("two names have one salt %q", bob)
	}
	if other := salt("two", "bob@example.test"); other == bob {
		t.Error("the salt does not depend on the secret")
	}
	if real := salt("one", alice); len(real) != len(bob) {
		t.Errorf("made-up salt and count %q, real ones %q: lengths differ", bob, real)
	}
}

func TestAttack10_UnknownUserAndWrongPasswordSayTheSame(t *testing.T) {
	texts := map[string]bool{}
	for _, login := range []string{alice, "bob@example.test"} {
		a := newAuth(t, sasl.Config{Backend: newUsers()})
		_, err := a.Login(context.Background(), clientFrom("192.0.2.1"), login, "wrong")
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("errors differ: %v", texts)
	}
}

func TestV1_UnknownIsNeverWrongPassword(t *testing.T) {
	for _, kind := range []cluster.Kind{cluster.KindUnavailable, cluster.KindInternal, cluster.KindLimit, cluster.KindInvalid, cluster.KindCorrupt} {
		b := newUsers()
		b.err = cluster.Errorf(kind, "look up", "for a test")
		a := newAuth(t, sasl.Config{Backend: b})
		_, plain, _ := converse(t, a, "PLAIN", []string{b64("\x00" + alice + "\x00" + password)})
		_, scram, _ := converse(t, a, "SCRAM-SHA-256", []string{b64("n,,n=alice,r=abc")})
		for _, got := range []string{plain, scram} {
			if got == "denied" || got == "invalid" || got == "in" {
				t.Errorf("backend says %v: exchange ends with %q", kind, got)
			}
		}
	}
}

func TestAttack04_NoMechanismInClear(t *testing.T) {
	for _, tt := range []struct {
		tls, allow bool
		want       int
	}{{false, false, 0}, {false, true, 3}, {true, false, 3}, {true, true, 3}} {
		c := clientFrom("192.0.2.1")
		c.TLS = tt.tls
		if got := newAuth(t, sasl.Config{Backend: newUsers(), AllowPlaintext: tt.allow}).Mechanisms(c); len(got) != tt.want {
			t.Errorf("Mechanisms with TLS %v, allowed in clear %v = %v, want %d", tt.tls, tt.allow, got, tt.want)
		}
	}
	b := newUsers()
	a := newAuth(t, sasl.Config{Backend: b})
	c := clientFrom("192.0.2.1")
	c.TLS = false
	if _, err := a.Start(c, "PLAIN"); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("Start in clear = %v, want invalid", err)
	}
	if _, err := a.Login(context.Background(), c, alice, password); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("Login in clear = %v, want invalid", err)
	}
	if len(b.calls) != 0 {
		t.Errorf("the backend was asked: %v", b.calls)
	}
}

// watcher is an Observer.
type watcher struct {
	mu  sync.Mutex
	all []string
}

func (w *watcher) Authenticated(_ mail.Client, mechanism string, _ time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, mechanism+" "+verdict(err == nil, err))
}

func TestObserverSeesEveryEnd(t *testing.T) {
	w := &watcher{}
	a := newAuth(t, sasl.Config{Backend: newUsers(), Observer: w})
	converse(t, a, "PLAIN", []string{b64("\x00" + alice + "\x00" + password)})
	converse(t, a, "LOGIN", []string{nothing, "*"})
	if _, err := a.Login(context.Background(), clientFrom("192.0.2.1"), alice, password); err != nil {
		t.Error(err)
	}
	want := []string{"PLAIN in", "LOGIN aborted", "password in"}
	if !slices.Equal(w.all, want) {
		t.Errorf("observed %q, want %q", w.all, want)
	}
}
