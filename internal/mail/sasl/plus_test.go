package sasl_test

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	xdg "github.com/xdg-go/scram"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/sasl"
)

var bound = strings.Repeat("x", 32) // the channel binding of a connection

// boundLogin runs a real client, whose first message may be changed on the way.
func boundLogin(t *testing.T, mechanism, serverSees string, make func(*xdg.Client) *xdg.ClientConversation, change func(string) string) string {
	t.Helper()
	c := clientFrom("192.0.2.1")
	c.Exporter = serverSees
	x, err := newAuth(t, sasl.Config{Backend: newUsers()}).Start(c, mechanism)
	if err != nil {
		return "start: " + verdict(false, err)
	}
	client, err := xdg.SHA256.NewClient(alice, password, "")
	if err != nil {
		t.Fatal(err)
	}
	conv := make(client)
	var challenge []byte
	for {
		line, err := conv.Step(string(challenge))
		if err != nil {
			return "client: " + err.Error()
		}
		answer, done, err := x.Next(context.Background(), []byte(b64(change(line))))
		if done || err != nil {
			if done && x.User() != alice {
				t.Errorf("done, but user is %q", x.User())
			}
			return verdict(done, err)
		}
		if challenge, err = base64.StdEncoding.DecodeString(string(answer)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestScramPlus is RFC 5802 §6 and RFC 9266: a login that is bound to its connection.
func TestScramPlus(t *testing.T) {
	const plain, plus = sasl.MechanismScramSHA256, sasl.MechanismScramSHA256Plus
	bind := func(data string) func(*xdg.Client) *xdg.ClientConversation {
		return func(c *xdg.Client) *xdg.ClientConversation {
			return c.NewConversationWithChannelBinding(xdg.ChannelBinding{Type: xdg.ChannelBindingTLSExporter, Data: []byte(data)})
		}
	}
	unbound := func(c *xdg.Client) *xdg.ClientConversation { return c.NewConversation() }
	asIs := func(s string) string { return s }
	replace := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	for _, tt := range []struct {
		name, mechanism, serverSees string
		make                        func(*xdg.Client) *xdg.ClientConversation
		change                      func(string) string
		want                        string
	}{
		{"bound", plus, bound, bind(bound), asIs, "in"},
		{"the mechanism's name in lower case", strings.ToLower(plus), bound, bind(bound), asIs, "in"},
		{"somebody in between", plus, bound, bind(strings.Repeat("y", 32)), asIs, "denied"},
		{"client does not bind", plus, bound, unbound, asIs, "invalid"},
		{"another type", plus, bound, bind(bound), replace("p=tls-exporter", "p=tls-unique"), "invalid"},
		{"connection without a binding", plus, "", bind(bound), asIs, "start: invalid"},
		{"binding under the other name", plain, bound, bind(bound), asIs, "invalid"},
		{"client that cannot bind", plain, bound, unbound, asIs, "in"},
		{"a shortened list of mechanisms", plain, bound, unbound, replace("n,,", "y,,"), "invalid"},
		{"client could bind, server cannot", plain, "", unbound, replace("n,,", "n,,"), "in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := boundLogin(t, tt.mechanism, tt.serverSees, tt.make, tt.change); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	a := newAuth(t, sasl.Config{Backend: newUsers()})
	c := clientFrom("192.0.2.1")
	if slices.Contains(a.Mechanisms(c), plus) {
		t.Error("channel binding is offered on a connection that has none")
	}
	if c.Exporter = bound; a.Mechanisms(c)[0] != plus {
		t.Errorf("mechanisms %v, want %s first", a.Mechanisms(c), plus)
	}
}

// Where no password has keys for SCRAM it is neither offered nor begun: a client that prefers it would fail, and try nothing else.
func TestNoScram(t *testing.T) {
	a := newAuth(t, sasl.Config{Backend: newUsers(), NoScram: true})
	c := clientFrom("192.0.2.1")
	c.Exporter = bound
	if got := a.Mechanisms(c); !slices.Equal(got, []string{sasl.MechanismPlain, sasl.MechanismLogin}) {
		t.Errorf("mechanisms %v", got)
	}
	for _, mechanism := range []string{sasl.MechanismScramSHA256Plus, sasl.MechanismScramSHA256} {
		if _, err := a.Start(c, mechanism); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("%s begins: %v", mechanism, err)
		}
	}
}
