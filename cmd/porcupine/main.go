// Command porcupine is a highly available mail server that runs itself: every node of a cluster
// runs this one program, and every node can do every task. See README.md for the first steps.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes: 0 done, 1 it failed (or a 'verify' found faults), 2 the command line is wrong, or 'verify'
// could not compare. Those of 'bench' are its own; exitSkipped is of 'import' and 'export'.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitUnknown = 2
)

type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run a node."`
	Dev     devCmd     `cmd:"" help:"Run a cluster of nodes on this machine, with demo users, to try it or to develop."`
	Init    initCmd    `cmd:"" help:"Make a new cluster with this machine as its first node."`
	Token   tokenCmd   `cmd:"" help:"Make a single-use token with which another machine can join."`
	Join    joinCmd    `cmd:"" help:"Make this machine a node of an existing cluster. The token is read from standard input."`
	Status  statusCmd  `cmd:"" help:"Show the cluster as this node sees it; every node shows the same."`
	Verify  verifyCmd  `cmd:"" help:"Compare all copies of everything on all nodes. Exit status 1 if any differ, are missing or damaged, 2 if not all could be compared."`
	Node    nodeCmd    `cmd:"" help:"Nodes."`
	User    userCmd    `cmd:"" help:"Users. Passwords are asked for, or read from standard input, never given on the command line."`
	Domain  domainCmd  `cmd:"" help:"Domains that the cluster takes mail for."`
	Vault   vaultCmd   `cmd:"" help:"Deleted messages, which can be restored for a while."`
	Alias   aliasCmd   `cmd:"" help:"Addresses that stand for users."`
	Store   storeCmd   `cmd:"" help:"A node's disk."`
	Backup  backupCmd  `cmd:"" help:"Backups. Replication is none: what is deleted by mistake is deleted everywhere."`
	Restore restoreCmd `cmd:"" help:"Give the cluster what a backup has and the cluster lacks. Nothing that is there is overwritten. Mail that was deleted since the backup comes back: try --dry-run first."`
	Import  importCmd  `cmd:"" help:"Bring mail from files or from another server into a mailbox. Run again after an interruption it goes on: nothing is stored twice. Exit status 3 if messages had to be skipped."`
	Export  exportCmd  `cmd:"" help:"Write a mailbox into files. Run again after an interruption it goes on. Exit status 3 if messages had to be skipped."`
	Config  configCmd  `cmd:"" help:"Print an example configuration file with every field explained."`
	Bench   benchesCmd `cmd:"" help:"Load a cluster and measure it."`
	Eval    evalCmd    `cmd:"" help:"Repeat the experiments of the papers on this machine: tables and drawings with the published values beside the measured ones. Exit status 1 if a claim about a shape does not hold."`
	Version versionCmd `cmd:"" help:"Print the version."`
	Help    helpCmd    `cmd:"" help:"Print help, on all commands or on one."`

	ShowVersion versionFlag `name:"version" help:"Print the version."`
}

// env is the outside world of a command.
type env struct {
	ctx    context.Context
	in     *os.File
	out    io.Writer
	errOut io.Writer
}

func main() { os.Exit(start(os.Args[1:])) }

func start(args []string) int {
	restrictFiles()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return run(&env{ctx: ctx, in: os.Stdin, out: os.Stdout, errOut: os.Stderr}, args)
}

// run carries out one command line and gives the exit code.
func run(e *env, args []string) int {
	var c cli
	told := false // --help or --version has said what was asked for, and nothing is carried out
	parser, err := newParser(e, &c, func(int) { told = true })
	if err != nil {
		fmt.Fprintln(e.errOut, "porcupine:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(joinNegative(args))
	if told {
		return 0
	}
	var bad *kong.ParseError
	if len(args) == 0 && errors.As(err, &bad) {
		bad.Context.Stdout = e.errOut
		if err = bad.Context.PrintUsage(true); err == nil {
			return exitUsage
		}
	}
	if err != nil {
		return e.misused(err)
	}
	err = parsed.Run(e)
	var code exitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case err != nil:
		fmt.Fprintln(e.errOut, "porcupine:", err)
		return exitFailed
	}
	return 0
}

// newParser makes the grammar of the command line. exit is called where --help and --version have printed all.
func newParser(e *env, c *cli, exit func(int)) (*kong.Kong, error) {
	return kong.New(c, kong.Name("porcupine"), kong.Writers(e.out, e.errOut), kong.Exit(exit),
		kong.Description("A highly available mail server that runs itself."))
}

// misused says what is wrong with the command line.
func (e *env) misused(err error) int {
	fmt.Fprintf(e.errOut, "porcupine: %v\nTry 'porcupine --help', or --help after a command.\n", err)
	return exitUsage
}

// exitCode is an error that was reported already and ends the program with that status.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
