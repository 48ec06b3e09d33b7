package sasl_test

import (
	"context"
	"fmt"
	"net/netip"

	"porcupine/internal/mail"
	"porcupine/internal/mail/sasl"
)

// A front end gives the client's lines to an Exchange and the challenges back.
func Example() {
	auth, err := sasl.New(sasl.Config{Backend: newUsers()})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := mail.Client{Service: "pop3", Remote: netip.MustParseAddr("192.0.2.1"), TLS: true}
	fmt.Println(auth.Mechanisms(client))
	x, err := auth.Start(client, "LOGIN")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range [][]byte{nil, []byte("YWxpY2VAZXhhbXBsZS50ZXN0"), []byte("d29uZGVyIGxhbmQ=")} {
		challenge, done, err := x.Next(context.Background(), line)
		fmt.Printf("%q %v %v\n", challenge, done, err)
	}
	fmt.Println(x.User())
	// Output:
	// [SCRAM-SHA-256 PLAIN LOGIN]
	// "VXNlcm5hbWU6" false <nil>
	// "UGFzc3dvcmQ6" false <nil>
	// "" true <nil>
	// alice@example.test
}
