package smtpserver_test

import (
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/smtpserver"
)

// V1: what is not proven is temporary.
func TestReplyByKind(t *testing.T) {
	kinds := map[cluster.Kind][2]string{ // of Verify, of Deliver
		cluster.KindInternal:    {"451 4.3.0", "451 4.3.0"},
		cluster.KindUnavailable: {"451 4.4.0", "451 4.4.0"},
		cluster.KindNotFound:    {"550 5.1.1", "550 5.1.1"},
		cluster.KindStale:       {"451 4.4.0", "451 4.4.0"},
		cluster.KindBehind:      {"451 4.4.0", "451 4.4.0"},
		cluster.KindFull:        {"452 4.3.1", "452 4.3.1"},
		cluster.KindInvalid:     {"550 5.1.3", "554 5.6.0"},
		cluster.KindCorrupt:     {"451 4.3.0", "451 4.3.0"},
		cluster.KindExists:      {"451 4.3.0", "451 4.3.0"},
		cluster.KindDenied:      {"550 5.7.1", "451 4.3.0"},
		cluster.KindLimit:       {"452 4.3.2", "452 4.3.2"},
	}
	h := start(t, smtpserver.MX)
	for kind, want := range kinds {
		err := cluster.Errorf(kind, "test", "secret detail")
		h.delivery.verify, h.delivery.deliver = err, nil
		c := h.connect().hello().envelope()
		if got := c.do("RCPT TO:<u0@example.test>", want[0]); strings.Contains(got, "secret") {
			t.Errorf("%v: reply %q shows the error", kind, got)
		}
		h.delivery.verify, h.delivery.deliver = nil, map[string]error{"u0": err}
		c.do("RCPT TO:<u0@example.test>", "250 ")
		c.do("DATA", "354 ")
		if got := c.do("x\r\n.", want[1]); strings.Contains(got, "secret") {
			t.Errorf("%v: reply %q shows the error", kind, got)
		}
		c.do("QUIT", "221 ")
	}
	h.delivery.verify = cluster.Errorf(cluster.KindFull, "test", "%w", mail.ErrOverQuota)
	h.connect().hello().envelope().do("RCPT TO:<u0@example.test>", "452 4.2.2")
}

// D2: one reply for all recipients is 250 only if the message is durable for all of them.
func TestSomeRecipientsFail(t *testing.T) {
	notFound := cluster.Errorf(cluster.KindNotFound, "test", "gone")
	unavailable := cluster.Errorf(cluster.KindUnavailable, "test", "down")
	tests := []struct {
		name string
		role smtpserver.Role
		errs map[string]error
		want []string
	}{
		{"one of two unavailable", smtpserver.MX, map[string]error{"u1": unavailable}, []string{"451 4.4.0"}},
		{"one of two gone", smtpserver.MX, map[string]error{"u1": notFound}, []string{"451 4.4.0"}},
		{"all gone", smtpserver.MX, map[string]error{"u0": notFound, "u1": notFound}, []string{"451 4.4.0"}},
		{"lmtp", smtpserver.LMTP, map[string]error{"u1": unavailable}, []string{"250 2.0.0", "451 4.4.0"}},
		{"lmtp gone", smtpserver.LMTP, map[string]error{"u0": notFound}, []string{"550 5.1.1", "250 2.0.0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, tt.role)
			h.delivery.deliver = tt.errs
			c := h.connect()
			if tt.role == smtpserver.LMTP {
				c.do("LHLO c.example", "250-")
			} else {
				c.hello()
			}
			c.envelope("u0@example.test", "u1@example.test").do("DATA", "354 ")
			c.send("x\r\n.\r\n")
			for _, want := range tt.want {
				c.want(want)
			}
			c.do("QUIT", "221 ")
		})
	}
}
