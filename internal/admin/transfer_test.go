package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"porcupine/internal/cluster"
)

// fakeTransfer keeps what comes in, and gives it out.
type fakeTransfer struct {
	Transfer // what is not here is not asked

	mu    sync.Mutex // a client hears that an answer was cut off before the handler has ended
	heads []MailHead
	texts []string
	cut   bool // contents end early on the way out
	fail  error
}

// set changes what becomes of the next export.
func (f *fakeTransfer) set(cut bool, fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.fail = cut, fail
}

func (f *fakeTransfer) Append(_ context.Context, _, _, _ string, next func() (Incoming, error)) error {
	for {
		in, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(in.Contents)
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.heads, f.texts = append(f.heads, in.MailHead), append(f.texts, string(text))
		f.mu.Unlock()
	}
}

func (f *fakeTransfer) Export(_ context.Context, _, _ string, after uint32, yield func(MailHead, io.Reader) error) error {
	f.mu.Lock()
	heads, texts, cut, fail := f.heads, f.texts, f.cut, f.fail // what is in them never changes
	f.mu.Unlock()
	for i := int(after); i < len(heads); i++ {
		text := texts[i]
		if cut {
			text = text[1:]
		}
		if err := yield(heads[i], strings.NewReader(text)); err != nil {
			return err
		}
	}
	return fail
}

func TestTransfer(t *testing.T) {
	f := &fakeTransfer{}
	s := &Server{Transfer: f, Logger: slog.New(slog.DiscardHandler)}
	mux := http.NewServeMux()
	s.Timeout = answerTimeout
	s.transfer(mux)
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
	c, ctx := NewClient(socket), t.Context()

	texts := []string{"one\r\n{\"end\":true}\n", "", strings.Repeat("x", 100_000)}
	var in []Incoming
	for _, text := range texts {
		in = append(in, Incoming{MailHead: MailHead{Email: "e", Flags: []string{`\Seen`}, Size: int64(len(text))}, Contents: strings.NewReader(text)})
	}
	if err := c.Append(ctx, "a@x.example", "7", "INBOX", in); err != nil || strings.Join(f.texts, "|") != strings.Join(texts, "|") {
		t.Fatalf("Append: %d messages, %v", len(f.texts), err)
	}
	read := func() (got []string, err error) {
		err = c.Export(ctx, "a@x.example", "INBOX", 0, func(_ MailHead, r io.Reader) error {
			text, err := io.ReadAll(r)
			got = append(got, string(text))
			return err
		})
		return got, err
	}
	if got, err := read(); err != nil || strings.Join(got, "|") != strings.Join(texts, "|") {
		t.Errorf("Export: %d messages, %v", len(got), err)
	}
	away := cluster.Errorf(cluster.KindUnavailable, "x", "away")
	f.set(false, away)
	if got, err := read(); len(got) != 3 || !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("an export that failed at its end: %d messages, %v", len(got), err)
	}
	f.set(true, away)
	if got, err := read(); err == nil {
		t.Errorf("an export that was cut off: %d messages and no error", len(got))
	}
	short := []Incoming{{MailHead: MailHead{Size: 10}, Contents: strings.NewReader("short")}}
	if err := c.Append(ctx, "a@x.example", "7", "INBOX", short); err == nil {
		t.Error("a message that is shorter than its head says was taken")
	}
	many := make([]Incoming, AppendMax+1)
	for i := range many {
		many[i].Contents = strings.NewReader("")
	}
	if err := c.Append(ctx, "a@x.example", "7", "INBOX", many); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("%d messages at once: %v, want limit", len(many), err)
	}
}

func FuzzReadHead(f *testing.F) {
	f.Add("{\"uid\":1,\"flags\":[\"x\"],\"size\":3}\nabc")
	f.Add("{\"end\":true,\"kind\":4,\"fail\":\"x\"}\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := readHead(bufio.NewReaderSize(strings.NewReader(text), transferHeadMax))
		if err == nil && (h.Size < 0 || h.Size > cluster.ObjectSizeMax) {
			t.Errorf("%q = %d octets", text, h.Size)
		}
	})
}
