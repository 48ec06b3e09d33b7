package daemon

import (
	"slices"
	"testing"

	"porcupine/internal/mail"
)

// With auth.scram_iterations below 0 no password has keys for SCRAM, and it is not offered; else it is.
func TestSCRAMIsOfferedWithKeys(t *testing.T) {
	d := assembled(t)
	for iterations, offered := range map[int]bool{-1: false, 0: true, 4096: true} {
		d.cfg.Auth.SCRAMIterations = iterations
		a, err := d.authenticator()
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Mechanisms(mail.Client{Service: "imap", TLS: true}); slices.Contains(got, "SCRAM-SHA-256") != offered {
			t.Errorf("auth.scram_iterations = %d: offered %q", iterations, got)
		}
	}
}
