package listenertest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// Front is what a listener.Server is to a test.
type Front interface {
	Serve(ln net.Listener) error
	Close()
}

// Serve has the front serve the listener until the test ends, and then waits for it.
func Serve(t testing.TB, front Front, ln net.Listener) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- front.Serve(ln) }()
	t.Cleanup(func() {
		front.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
}

// ServeSocket has the front serve a loopback socket until the test ends, and gives its address.
func ServeSocket(t testing.TB, front Front) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	Serve(t, front, ln)
	return ln.Addr().String()
}

// ReadLine reads one line without its end, or "(end)", or "(silence)" after an hour: it is for a bubble.
func ReadLine(t testing.TB, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		var b [1]byte // no more than the line is taken
		_, err := c.Read(b[:])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return string(got) + "(silence)"
		case err != nil:
			return string(got) + "(end)"
		}
		got = append(got, b[0])
		if bytes.HasSuffix(got, []byte("\r\n")) {
			return string(got[:len(got)-2])
		}
	}
}
