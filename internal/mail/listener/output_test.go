package listener

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// sink is a connection that keeps what is written, or refuses it.
type sink struct {
	net.Conn
	got      bytes.Buffer
	deadline time.Time
	fail     error
}

func (s *sink) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }

func (s *sink) Write(p []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	return s.got.Write(p)
}

// upper is a layer that holds everything back until it is flushed.
type upper struct {
	w    *Output
	held []byte
}

func (u *upper) Write(p []byte) (int, error) {
	u.held = append(u.held, bytes.ToUpper(p)...)
	return len(p), nil
}

func (u *upper) Flush() error {
	_, err := u.w.Write(u.held)
	u.held = nil
	return err
}

func TestOutput(t *testing.T) {
	var b Buffers
	c := &sink{}
	o := NewOutput(c, time.Minute, &b)
	hello := func(free []byte) []byte { return append(free, "hello "...) }
	o.Add(hello)
	o.Drop()
	o.Add(hello)
	if c.got.Len() > 0 {
		t.Errorf("%q was written before Flush", c.got.String())
	}
	if err := o.Flush(); err != nil || c.got.String() != "hello " || c.deadline.IsZero() {
		t.Errorf("%q, %v, deadline %v", c.got.String(), err, c.deadline)
	}
	o.SetLayer(&upper{w: &o})
	o.Add(hello)
	if err := o.Flush(); err != nil || c.got.String() != "hello HELLO " || o.Failed() {
		t.Errorf("%q, %v", c.got.String(), err)
	}
	o.SetLayer(nil)
	c.fail = errors.New("gone")
	if _, err := o.Buffer().WriteString(strings.Repeat("x", outputSize+1)); err == nil || !o.Failed() {
		t.Error("a write that failed is not known")
	}
	c.fail = nil
	o.Drop()
	o.Add(hello)
	if err := o.Flush(); err == nil || !o.Failed() { // the error stays
		t.Errorf("Flush after an error: %v", err)
	}
}

func TestSettle(t *testing.T) {
	number, span := 0, time.Second
	if err := Settle("x", Setting[int]{Name: "Number", Value: &number, Default: 7}); err != nil || number != 7 {
		t.Errorf("%d, %v", number, err)
	}
	number = -1
	if err := Settle("x", Setting[int]{Name: "Number", Value: &number, Default: 7}); err == nil || !strings.Contains(err.Error(), "x config: Number is -1") {
		t.Error(err)
	}
	if err := Settle("x", Setting[time.Duration]{Name: "Span", Value: &span, Default: time.Hour, Min: time.Minute}); err == nil || !strings.Contains(err.Error(), "want at least 1m0s, or 0 for 1h0m0s") {
		t.Error(err)
	}
}
