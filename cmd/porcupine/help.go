package main

import (
	"fmt"
	"math"
	"runtime"
	"strings"

	"github.com/alecthomas/kong"

	"porcupine/internal/daemon"
)

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"For example user add."`
}

func (c *helpCmd) Run(e *env) error {
	var grammar cli
	parser, err := newParser(e, &grammar, func(int) {})
	if err != nil {
		return err
	}
	at, err := kong.Trace(parser, c.Command)
	if err != nil {
		return err
	}
	if at.Error != nil {
		return exitCode(e.misused(at.Error))
	}
	return at.PrintUsage(false)
}

// versionLine says which program this is.
func versionLine() string {
	return fmt.Sprintf("porcupine %s (%s, %s/%s)", daemon.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

type versionCmd struct{}

func (c *versionCmd) Run(e *env) error {
	fmt.Fprintln(e.out, versionLine())
	return nil
}

// versionFlag is --version, which many try first.
type versionFlag bool

// BeforeReset runs where the flag is met, before anything that is missing is found out.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	fmt.Fprintln(app.Stdout, versionLine())
	app.Exit(0)
	return nil
}

// joinNegative writes a flag and a negative number after it as one word, --flag=-5: else the number would be taken for a
// flag, and nobody would hear which numbers are allowed.
func joinNegative(args []string) []string {
	var joined []string
	for i, a := range args {
		if a == "--" {
			return append(joined, args[i:]...)
		}
		last := len(joined) - 1
		switch {
		case last < 0 || !isNegative(a) || joined[last] == standardStream || !strings.HasPrefix(joined[last], "-") || strings.Contains(joined[last], "="):
			joined = append(joined, a)
		case strings.HasPrefix(joined[last], "--"):
			joined[last] += "=" + a
		default:
			joined[last] += a // -n -5
		}
	}
	return joined
}

func isNegative(word string) bool {
	return len(word) > 1 && word[0] == '-' && word[1] >= '0' && word[1] <= '9'
}

// between wants a number that a flag was given to be in its range. meaning is what is to be said of it besides.
func between[T int | int64](flag string, value, least, most T, meaning string) error {
	if value >= least && value <= most {
		return nil
	}
	span := fmt.Sprintf("from %d to %d", least, most)
	if int64(most) == math.MaxInt64 {
		span = fmt.Sprintf("of %d or more", least)
	}
	return fmt.Errorf("--%s %d: write a number %s%s", flag, value, span, meaning)
}
