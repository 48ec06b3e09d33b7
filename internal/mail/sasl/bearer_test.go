package sasl_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/sasl"
)

// tokens is a TokenChecker that knows one token of alice's.
type tokens struct{ err error }

func (c tokens) CheckToken(_ context.Context, _ mail.Client, login, token string) (mail.User, error) {
	switch {
	case c.err != nil:
		return "", c.err
	case token != "good" || login != "" && login != alice:
		return "", cluster.Errorf(cluster.KindDenied, "check token", "not good")
	}
	return alice, nil
}

func TestOAuthBearer(t *testing.T) {
	message := func(authzid, token string) string {
		return "n," + authzid + ",\x01host=mail.example.test\x01port=993\x01auth=Bearer " + token + "\x01\x01"
	}
	const refused = `{"status":"invalid_token","schemes":"bearer","scope":""}`
	down := cluster.Errorf(cluster.KindUnavailable, "check token", "for a test")
	for _, tt := range []struct {
		name       string
		err        error
		lines      []string
		challenges []string
		want       string
	}{
		{"good", nil, []string{b64(message("", "good"))}, nil, "in"},
		{"good, named", nil, []string{b64(message("a="+alice, "good"))}, nil, "in"},
		{"no initial response", nil, []string{nothing, b64(message("", "good"))}, []string{""}, "in"},
		{"bad", nil, []string{b64(message("", "bad")), b64("\x01")}, []string{refused}, "denied"},
		{"another's", nil, []string{b64(message("a=bob@example.test", "good")), b64("\x01")}, []string{refused}, "denied"},
		{"bad, aborted", nil, []string{b64(message("", "bad")), "*"}, []string{refused}, "aborted"},
		{"nobody knows", down, []string{b64(message("", "good"))}, nil, "unavailable"},
		{"too long", nil, []string{b64(message("", strings.Repeat("x", sasl.TokenLengthMax+1)))}, nil, "invalid"},
		{"control characters in the name", nil, []string{b64(message("a=\x02", "good"))}, nil, "invalid"},
		{"malformed", nil, []string{b64("n,,nonsense"), b64("\x01")}, []string{`{"status":"invalid_request","schemes":"bearer","scope":""}`}, "invalid"},
		{"empty", nil, []string{"=", b64("\x01")}, []string{`{"status":"invalid_request","schemes":"bearer","scope":""}`}, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuth(t, sasl.Config{Backend: newUsers(), Tokens: tokens{tt.err}})
			challenges, got, user := converse(t, a, "oauthbearer", tt.lines)
			if got != tt.want || !slices.Equal(challenges, tt.challenges) || (user == alice) != (tt.want == "in") {
				t.Errorf("%q, %s, user %q; want %q, %s", challenges, got, user, tt.challenges, tt.want)
			}
		})
	}
	if _, got, _ := converse(t, newAuth(t, sasl.Config{Backend: newUsers()}), "OAUTHBEARER", []string{b64(message("", "good"))}); got != "start: invalid" {
		t.Errorf("without a checker: %s, want start: invalid", got)
	}
}
