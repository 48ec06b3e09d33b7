package main

import (
	"strings"
	"testing"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
)

// Nodes have names and machines there; one that nobody knows any more has its id. Counts say that they lag.
func TestUserShowNamesNodes(t *testing.T) {
	names := nodeNames(&admin.Status{
		Members: []admin.Member{{ID: 1, Name: "one"}, {ID: 2, Name: "two", Machine: "mail1"}},
		Absent:  []admin.Absent{{ID: 3, Name: "three", Machine: "mail2"}},
	})
	u := admin.UserDetail{
		User: admin.User{Address: "ann@example.org", Messages: 3}, ProfileNodes: []cluster.NodeID{1, 4},
		Mail: []admin.Fragment{{Nodes: []cluster.NodeID{2, 3}, Live: []cluster.NodeID{2}, Messages: 3}},
	}
	var b strings.Builder
	if err := writeUser(&b, &u, names); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"mail 3 messages, 0 bytes (of the mail map, some seconds behind deliveries)",
		"profile on 0000000000000001 one, 0000000000000004 mail on",
		"mail on 0000000000000002 two (machine mail1), 0000000000000003 three (machine mail2): 3 messages, 0 bytes; live: 0000000000000002 two (machine mail1)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}
