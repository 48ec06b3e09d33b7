package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// serve plays one session of a server on a loopback listener: lines that begin with "S: " are
// sent, "C: " are expected, "X" closes the connection. It gives the address, and a channel that
// tells how it went.
func serve(t *testing.T, script string) (addr string, done <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	result := make(chan error, 1)
	go func() { result <- playScript(l, script) }()
	return l.Addr().String(), result
}

func playScript(l net.Listener, script string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	for step := range strings.Lines(script) {
		step = strings.TrimLeft(strings.TrimSuffix(step, "\n"), "\t ")
		switch {
		case strings.HasPrefix(step, "S: "):
			if _, err := fmt.Fprintf(conn, "%s\r\n", step[3:]); err != nil {
				return err
			}
		case strings.HasPrefix(step, "C: "):
			got, err := in.ReadString('\n')
			if err != nil || got != step[3:]+"\r\n" {
				return errors.Join(err, fmt.Errorf("client sent %q, want %q", got, step[3:]))
			}
		case step == "X":
			return nil
		}
	}
	return nil
}

func target(addr string) Target { return Target{Addr: addr, Timeout: 5 * time.Second} }

func TestSMTPSend(t *testing.T) {
	const message = "Subject: a\r\n\r\nb\r\n.c\r\n..\r\n"
	const hello = `
		S: 220-one
		S: 220 two
		C: EHLO bench.example
		`
	tests := []struct {
		name, script string
		offered      bool
		want         string // the error
	}{
		{"plain", hello + `S: 250 node
			C: MAIL FROM:<a@b.example>
			S: 250 ok
			C: RCPT TO:<u@d.example>
			S: 251 ok
			C: DATA
			S: 354 go
			C: Subject: a
			C: 
			C: b
			C: ..c
			C: ...
			C: .
			S: 250 ok`, true, ""},
		{"pipelined with size", hello + `S: 250-node
			S: 250-SIZE 1000
			S: 250 PIPELINING
			C: MAIL FROM:<a@b.example> SIZE=25
			C: RCPT TO:<u@d.example>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 354 go
			C: Subject: a
			C: 
			C: b
			C: ..c
			C: ...
			C: .
			S: 250 ok`, true, ""},
		{"recipient refused", hello + `S: 250 node
			C: MAIL FROM:<a@b.example>
			S: 250 ok
			C: RCPT TO:<u@d.example>
			S: 451 4.3.0 later`, false, "RCPT TO:<u@d.example> refused: 451 4.3.0 later"},
		{"recipient refused and DATA taken", hello + `S: 250-node
			S: 250 PIPELINING
			C: MAIL FROM:<a@b.example>
			C: RCPT TO:<u@d.example>
			C: DATA
			S: 250 ok
			S: 550 who
			S: 354 go
			C: .
			S: 554 no recipients`, false, "RCPT TO:<u@d.example> refused: 550 who"},
		{"message refused", hello + `S: 250 node
			C: MAIL FROM:<a@b.example>
			S: 250 ok
			C: RCPT TO:<u@d.example>
			S: 250 ok
			C: DATA
			S: 354 go
			C: Subject: a
			C: 
			C: b
			C: ..c
			C: ...
			C: .
			S: 452-4.3.1 full
			S: 452 later`, true, "message refused: 452 4.3.1 full / later"},
		{"closed after the final dot", hello + `S: 250 node
			C: MAIL FROM:<a@b.example>
			S: 250 ok
			C: RCPT TO:<u@d.example>
			S: 250 ok
			C: DATA
			S: 354 go
			C: Subject: a
			C: 
			C: b
			C: ..c
			C: ...
			C: .
			X`, true, "answer to message: receive: EOF"},
		{"codes that differ", hello + `S: 250 node
			C: MAIL FROM:<a@b.example>
			S: 250-ok
			S: 251 ok`, false, "code differs from 250"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, done := serve(t, tt.script)
			s, err := DialSMTP(t.Context(), target(addr))
			if err != nil {
				t.Fatalf("DialSMTP: %v", err)
			}
			defer s.Close()
			offered, err := s.Send("a@b.example", "u@d.example", []byte(message))
			if offered != tt.offered || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Send() = %v, %v, want %v, %q", offered, err, tt.offered, tt.want)
			}
			if err := <-done; err != nil {
				t.Errorf("server: %v", err)
			}
		})
	}
}

func TestDialSMTPRefused(t *testing.T) {
	addr, done := serve(t, "S: 421 too busy\nX")
	_, err := DialSMTP(t.Context(), target(addr))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Code != 421 || refusal.Permanent() {
		t.Errorf("DialSMTP() = %v, want a temporary refusal", err)
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}

func TestAttack03_BytesAheadOfTLS(t *testing.T) {
	addr, done := serve(t, "S: 220 hi\nC: EHLO bench.example\nS: 250-x\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\r\n250 injected\nX")
	tgt := target(addr)
	tgt.TLS, tgt.StartTLS = &tls.Config{InsecureSkipVerify: true}, true
	if _, err := DialSMTP(t.Context(), tgt); err == nil || !strings.Contains(err.Error(), "start TLS") {
		t.Errorf("DialSMTP() = %v, want a refusal to start TLS", err)
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}

func TestPOP3Session(t *testing.T) {
	tests := []struct {
		name, script string
		want         string // what was fetched, joined by "|"; then the error
	}{
		{"two messages", `
			S: +OK hi
			C: CAPA
			S: -ERR what
			C: USER u@d.example
			S: +OK
			C: PASS secret
			S: +OK
			C: UIDL
			S: +OK
			S: 1 aa
			S: 2 bb
			S: .
			C: RETR 1
			S: +OK
			S: Subject: a
			S: 
			S: ..dot
			S: .
			C: RETR 2
			S: +OK
			S: .
			C: DELE 1
			S: +OK
			C: DELE 2
			S: +OK
			C: QUIT
			S: +OK bye`, "aa Subject: a\r\n\r\n.dot\r\n|bb |<nil>"},
		{"pipelined", `
			S: +OK hi
			C: CAPA
			S: +OK
			S: PIPELINING
			S: .
			C: USER u@d.example
			S: +OK
			C: PASS secret
			S: +OK
			C: UIDL
			S: +OK
			S: 1 aa
			S: 2 bb
			S: .
			C: RETR 1
			C: RETR 2
			S: +OK
			S: one
			S: .
			S: +OK
			S: two
			S: .
			C: DELE 1
			C: DELE 2
			S: +OK
			S: +OK
			C: QUIT
			S: +OK bye`, "aa one\r\n|bb two\r\n|<nil>"},
		{"wrong password is not repeated in the error", `
			S: +OK hi
			C: CAPA
			S: -ERR what
			C: USER u@d.example
			S: +OK
			C: PASS secret
			S: -ERR [AUTH] no`, "PASS refused: [AUTH] no"},
		{"closed in a message", `
			S: +OK hi
			C: CAPA
			S: -ERR what
			C: USER u@d.example
			S: +OK
			C: PASS secret
			S: +OK
			C: UIDL
			S: +OK
			S: 1 aa
			S: .
			C: RETR 1
			S: +OK
			S: Subject: a
			X`, "message 1: receive: EOF"},
		{"no answer to QUIT", `
			S: +OK hi
			C: CAPA
			S: -ERR what
			C: USER u@d.example
			S: +OK
			C: PASS secret
			S: +OK
			C: UIDL
			S: +OK
			S: .
			C: QUIT
			X`, "answer to QUIT: receive: EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, done := serve(t, tt.script)
			got := session(t.Context(), addr)
			if got != tt.want {
				t.Errorf("session = %q, want %q", got, tt.want)
			}
			if err := <-done; err != nil {
				t.Errorf("server: %v", err)
			}
		})
	}
}

func session(ctx context.Context, addr string) string {
	var got strings.Builder
	err := func() error {
		p, err := DialPOP3(ctx, target(addr))
		if err != nil {
			return err
		}
		defer p.Close()
		if err := p.Login("u@d.example", "secret"); err != nil {
			return err
		}
		list, err := p.List()
		if err != nil {
			return err
		}
		if err := p.Retrieve(list, func(l Listed, b []byte) error {
			fmt.Fprintf(&got, "%s %s|", l.UniqueID, b)
			return nil
		}); err != nil {
			return err
		}
		if err := p.Delete(list); err != nil {
			return err
		}
		return p.Quit()
	}()
	return got.String() + fmt.Sprint(err)
}

func TestContextEndsSession(t *testing.T) {
	// The server greets and then says nothing.
	addr, _ := serve(t, "S: +OK hi\nC: CAPA\nC: never")
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := DialPOP3(ctx, Target{Addr: addr, Timeout: time.Hour})
		answer <- err
	}()
	cancel()
	if err := <-answer; err == nil {
		t.Error("DialPOP3 with a cancelled context = nil, want an error")
	}
}
