package membership_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/usermap"
)

// A node is started for the first time, given an address to look for others, and asked to leave. The
// outputs are obeyed in between: Persist, View, Send, Events, Next.
func Example() {
	cfg := membership.Config{Self: cluster.Endpoint{ID: 1, Name: "one", Addr: "one.test:90"}, Assign: usermap.Assign}
	now := time.Unix(0, 0)
	core, out, err := membership.New(cfg, membership.Persistent{}, now, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("persist", out.Persist.Promised, "install", out.View.Epoch, "members", len(out.View.Members))
	out = core.AddPeer(now, "two.test:90")
	fmt.Println("send", out.Send[0].Message.Kind, "to", out.Send[0].To.Addr)
	out = core.Leave(now)
	fmt.Println("left", out.Left)
	// Output:
	// persist 1.0000000000000001 install 1.0000000000000001 members 1
	// send probe to two.test:90
	// left true
}
