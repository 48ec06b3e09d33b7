package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeService is a small mail service: it keeps mail in memory, speaks enough SMTP and POP3 over
// loopback, and misbehaves on purpose. The misdeeds are done to every nth message accepted.
type fakeService struct {
	misdeed string // "", or one of those that accept and pop3 name
	nth     int    // 0: never

	mu       sync.Mutex
	boxes    map[string][]string // login -> messages; the stored form has a trace field on top
	accepted int
	uids     map[string]string
	conns    []net.Conn
}

// startFake gives the addresses of a fake SMTP and a fake POP3 listener.
func startFake(t *testing.T, f *fakeService) (smtp, pop3 string) {
	t.Helper()
	f.boxes, f.uids = map[string][]string{}, map[string]string{}
	var wg sync.WaitGroup
	var listeners []net.Listener
	listen := func(serve func(*fakeConn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		wg.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				f.mu.Lock()
				f.conns = append(f.conns, conn)
				f.mu.Unlock()
				wg.Go(func() {
					defer conn.Close()
					serve(&fakeConn{Writer: conn, in: bufio.NewReader(conn)})
				})
			}
		})
		return l.Addr().String()
	}
	smtp, pop3 = listen(f.smtp), listen(f.pop3)
	t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
		f.mu.Lock()
		for _, c := range f.conns {
			c.Close()
		}
		f.mu.Unlock()
		wg.Wait()
	})
	return smtp, pop3
}

type fakeConn struct {
	io.Writer
	in *bufio.Reader
}

func (c *fakeConn) say(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }

// command reads a line; verb is "" at the end of the connection.
func (c *fakeConn) command() (verb, rest string) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", ""
	}
	verb, rest, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	return verb, rest
}

func (f *fakeService) smtp(c *fakeConn) {
	c.say("220 fake")
	to := ""
	for {
		switch verb, rest := c.command(); verb {
		case "EHLO":
			c.say("250-fake\r\n250-SIZE\r\n250 PIPELINING")
		case "MAIL":
			c.say("250 ok")
		case "RCPT":
			to, _, _ = strings.Cut(strings.TrimPrefix(rest, "TO:<"), ">")
			c.say("250 ok")
		case "DATA":
			c.say("354 go")
			message, ok := c.data()
			if !ok {
				return
			}
			if reply := f.accept(to, message); reply == "" {
				return // the connection breaks after the final dot
			} else {
				c.say("%s", reply)
			}
		case "QUIT":
			c.say("221 bye")
			return
		default:
			return
		}
	}
}

func (c *fakeConn) data() (message string, ok bool) {
	var b strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", false
		}
		if line == ".\r\n" {
			return b.String(), true
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

// accept stores a message and gives the reply, "" for none.
func (f *fakeService) accept(to, message string) (reply string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepted++
	stored := "Received: by fake\r\n" + message
	put := func(box, m string) { f.boxes[box] = append(f.boxes[box], m) }
	if f.nth == 0 || f.accepted%f.nth != 0 {
		put(to, stored)
		return "250 ok"
	}
	switch f.misdeed {
	case "lose":
	case "duplicate":
		put(to, stored)
		put(to, stored)
	case "corrupt":
		put(to, strings.Replace(stored, "message ", "massage ", 1))
	case "misplace":
		put("u0@example.test", stored)
	case "phantom":
		put(to, stored)
		return "451 4.3.0 later"
	case "refuse":
		return "550 5.1.1 who"
	case "cut":
		put(to, stored)
		return ""
	case "cut and lose":
		return ""
	default:
		put(to, stored)
	}
	return "250 ok"
}

func (f *fakeService) pop3(c *fakeConn) {
	c.say("+OK fake")
	user := ""
	var list []string
	gone := map[int]bool{}
	for {
		verb, rest := c.command()
		n := 0
		fmt.Sscan(rest, &n)
		switch verb {
		case "CAPA":
			c.say("+OK\r\nPIPELINING\r\nUIDL\r\n.")
		case "USER":
			user = rest
			c.say("+OK")
		case "PASS":
			if f.misdeed == "unavailable" {
				c.say("-ERR [SYS/TEMP] later")
				continue
			}
			f.mu.Lock()
			list = slices.Clone(f.boxes[user])
			f.mu.Unlock()
			c.say("+OK")
		case "UIDL":
			c.say("+OK")
			for i, m := range list {
				c.say("%d %s", i+1, f.uid(i, m))
			}
			c.say(".")
		case "RETR":
			c.say("+OK")
			c.Write(stuffed(list[n-1]))
			c.say(".")
		case "DELE":
			gone[n-1] = true
			c.say("+OK")
		case "QUIT":
			if !f.update(user, list, gone) {
				return
			}
			c.say("+OK bye")
			return
		default:
			return
		}
	}
}

func stuffed(message string) []byte {
	b := bytes.ReplaceAll([]byte(message), []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(b, []byte(".")) {
		b = append([]byte("."), b...)
	}
	return b
}

// uid gives a unique id that is stable, unless the misdeed is to change it.
func (f *fakeService) uid(i int, message string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fmt.Sprint(i, message)
	if f.uids[key] == "" || f.misdeed == "rename" {
		f.uids[key] = fmt.Sprintf("uid%d.%d", i, len(f.uids))
		f.uids[fmt.Sprint(len(f.uids))] = "taken"
	}
	return f.uids[key]
}

// update deletes; it gives false if the answer shall be withheld.
func (f *fakeService) update(user string, list []string, gone map[int]bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepted++ // sessions count too, so that every nth pick-up misbehaves
	odd := f.nth > 0 && f.accepted%f.nth == 0
	if odd && (f.misdeed == "undead" || f.misdeed == "rename") {
		// QUIT is acknowledged, and nothing deleted.
		return f.misdeed == "undead"
	}
	var kept []string
	for i, m := range list {
		if !gone[i] {
			kept = append(kept, m)
		}
	}
	f.boxes[user] = append(kept, f.boxes[user][len(list):]...)
	return !(odd && f.misdeed == "no farewell")
}
