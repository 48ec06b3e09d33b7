// Command bare is the least that an SMTP session can cost in this language on this machine: a server that says yes to
// everything and throws the message away. test/compare.sh holds ours against it.
//
//	bare 127.0.0.1:2525
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// sessionMax bounds a session, sizeMax a line of it.
const (
	sessionMax = time.Minute
	sizeMax    = 4 << 10
)

func main() {
	fmt.Fprintln(os.Stderr, "bare:", run(os.Args[1:]))
}

// run serves until it cannot; the error says why.
func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: bare HOST:PORT")
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with its connection, at the latest after sessionMax
			defer c.Close()
			// A client that breaks off is its own affair.
			_ = session(c)
		}()
	}
}

// session answers the commands of one connection.
func session(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(sessionMax)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, sizeMax)
	reply := "220 bare ESMTP\r\n"
	for {
		if _, err := io.WriteString(c, reply); err != nil {
			return err
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch verb := bytes.ToUpper(line[:min(4, len(line))]); string(verb) {
		case "DATA":
			if _, err := io.WriteString(c, "354 go\r\n"); err != nil {
				return err
			}
			if err := discard(r); err != nil {
				return err
			}
			reply = "250 gone\r\n"
		case "QUIT":
			_, err := io.WriteString(c, "221 bye\r\n")
			return err
		default:
			reply = "250 ok\r\n"
		}
	}
}

// discard reads a message up to the line with a dot.
func discard(r *bufio.Reader) error {
	whole := true // the line before was
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // it is given as it is
			return err
		}
		if whole && string(line) == ".\r\n" {
			return nil
		}
		whole = err == nil
	}
}
