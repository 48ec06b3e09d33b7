package pop3_test

import (
	"fmt"
	"strings"

	"porcupine/internal/mail/pop3"
)

func ExampleParse() {
	c, err := pop3.Parse([]byte("top 3 10"))
	fmt.Println(c.Verb, c.Number, c.Lines, err)
	// Output: TOP 3 10 <nil>
}

func ExampleDotWriter() {
	var reply strings.Builder
	w := pop3.NewDotWriter(&reply)
	fmt.Fprint(w, "Subject: dots\r\n\r\n.\r\n...")
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%q\n", reply.String())
	// Output: "Subject: dots\r\n\r\n..\r\n....\r\n.\r\n"
}
