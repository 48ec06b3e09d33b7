package listener_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"porcupine/internal/mail/listener"
)

// A front end is a Handler; the Server does the rest.
func Example() {
	front, err := listener.New(listener.Config{
		Service: "echo",
		Handler: func(_ context.Context, c *listener.Conn) {
			b := make([]byte, 64)
			for c.AwaitInput(time.Minute) == nil {
				n, err := c.Read(b)
				c.Busy()
				if err != nil {
					return
				}
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error, 1)
	go func() { done <- front.Serve(ln) }()

	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	b := make([]byte, len("hello"))
	_, werr := io.WriteString(c, "hello")
	_, rerr := io.ReadFull(c, b)
	fmt.Println(string(b), werr, rerr)

	fmt.Println(front.Shutdown(context.Background()), <-done)
	// Output:
	// hello <nil> <nil>
	// <nil> <nil>
}
