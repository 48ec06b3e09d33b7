package sasl_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"porcupine/internal/mail/sasl"
)

func FuzzExchange(f *testing.F) {
	for _, c := range cases {
		f.Add(c.mechanism, strings.Join(c.lines, " "))
	}
	f.Add("SCRAM-SHA-256", b64("n,,n=alice@example.test,r=abc")+" "+b64("c=biws,r=abc,p=AAAA"))
	backend := newUsers()
	guard, err := sasl.NewGuard(sasl.GuardConfig{WaitMax: time.Nanosecond})
	if err != nil {
		f.Fatal(err)
	}
	a := newAuth(f, sasl.Config{Backend: backend, Guard: guard})
	f.Fuzz(func(t *testing.T, mechanism, lines string) {
		x, err := a.Start(clientFrom("192.0.2.1"), mechanism)
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(lines, " ") {
			challenge, done, err := x.Next(context.Background(), []byte(line))
			if done && !strings.Contains(lines, b64(password)) && !bytes.Contains(decoded(lines), []byte(password)) {
				t.Fatalf("logged in without the password: %q", lines)
			}
			if (done || err != nil) && challenge != nil {
				t.Fatalf("challenge %q at the end", challenge)
			}
			if _, err := base64.StdEncoding.DecodeString(string(challenge)); err != nil {
				t.Fatalf("challenge %q is not base64", challenge)
			}
			if done || err != nil {
				if done != (x.User() == alice) {
					t.Fatalf("done %v, user %q", done, x.User())
				}
				return
			}
		}
	})
}

// decoded gives all that decodes of some lines.
func decoded(lines string) (all []byte) {
	for line := range strings.SplitSeq(lines, " ") {
		b, err := base64.StdEncoding.DecodeString(line)
		if err == nil {
			all = append(all, b...)
		}
	}
	return all
}
