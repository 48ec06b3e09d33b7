package main

import (
	"strings"
	"testing"
)

// A negative number belongs to the flag before it, so that the command can say which numbers it takes.
func TestNegativeNumbersAreValues(t *testing.T) {
	for line, want := range map[string]string{
		"user set a@x --copies -1":    "user set a@x --copies=-1",
		"bench -c -4 -d 1s":           "bench -c-4 -d 1s",
		"user set a@x --copies=2 -1":  "user set a@x --copies=2 -1",
		"import --user a@x - -5":      "import --user a@x - -5",
		"user add a@x --json --wait":  "user add a@x --json --wait",
		"user add -- --copies -1":     "user add -- --copies -1",
		"-1":                          "-1",
		"user set a@x --quota -5GiB ": "user set a@x --quota=-5GiB",
	} {
		if got := strings.Join(joinNegative(strings.Fields(line)), " "); got != want {
			t.Errorf("joinNegative(%q) = %q, want %q", line, got, want)
		}
	}
}
