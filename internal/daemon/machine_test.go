package daemon

import (
	"testing"

	"porcupine/internal/config"
)

// The node of a second disk: it has no listener for clients, shares its machine, and does its work.
func TestNodeWithoutListeners(t *testing.T) {
	cfg := loopback(t)
	for _, listen := range []*string{
		&cfg.SMTP.Listen, &cfg.SMTP.LMTPListen, &cfg.SMTP.SubmissionListen, &cfg.SMTP.SubmissionsListen,
		&cfg.POP3.Listen, &cfg.POP3.TLSListen, &cfg.IMAP.Listen, &cfg.IMAP.TLSListen, &cfg.HTTP.Listen,
	} {
		*listen = config.Off
	}
	cfg.Machine = "mail1"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	client, _, _ := start(t, cfg)
	s, err := client.Status(t.Context())
	if err != nil || len(s.Members) != 1 || s.Members[0].Machine != "mail1" || !s.Ready {
		t.Errorf("Status = %+v, %v; want one ready member on machine mail1", s, err)
	}
}
