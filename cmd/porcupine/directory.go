package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"porcupine/internal/admin"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Make a user."`
	List   userListCmd   `cmd:"" help:"List users."`
	Passwd userPasswdCmd `cmd:"" help:"Change a user's password."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user and all of the user's mail."`
}

type userAddCmd struct {
	configFlag
	Address string `arg:"" help:"For example ann@example.org."`
}

func (c *userAddCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	password, err := e.password("Password for " + c.Address)
	if err != nil {
		return err
	}
	return client.AddUser(e.ctx, c.Address, password)
}

type userPasswdCmd struct {
	configFlag
	Address string `arg:""`
}

func (c *userPasswdCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	password, err := e.password("New password for " + c.Address)
	if err != nil {
		return err
	}
	return client.SetPassword(e.ctx, c.Address, password)
}

type userRemoveCmd struct {
	configFlag
	Address string `arg:""`
}

func (c *userRemoveCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.RemoveUser(e.ctx, c.Address)
}

type userListCmd struct{ configFlag }

func (c *userListCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USER\tMESSAGES\tBYTES\tCREATED\tNOTE")
	err = eachPage(e.ctx, client.ListUsers, func(u admin.User) string {
		note := ""
		if u.Disabled {
			note = "disabled"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\n", u.Address, u.Messages, u.Bytes, u.Created.Format("2006-01-02"), note)
		return u.Address
	})
	return errors.Join(err, t.Flush())
}

// eachPage walks a paged list to its end; each item's function gives its name.
func eachPage[T any](ctx context.Context, list func(context.Context, string, int) ([]T, error), each func(T) string) error {
	for after := ""; ; {
		items, err := list(ctx, after, admin.PageMax)
		if err != nil {
			return err
		}
		for _, item := range items {
			after = each(item)
		}
		if len(items) < admin.PageMax {
			return nil
		}
	}
}

type domainCmd struct {
	Add    domainAddCmd    `cmd:"" help:"Take mail for a domain."`
	List   domainListCmd   `cmd:"" help:"List domains."`
	Remove domainRemoveCmd `cmd:"" help:"Take no more mail for a domain; its users must be gone."`
}

type domainAddCmd struct {
	configFlag
	Domain string `arg:""`
}

func (c *domainAddCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.AddDomain(e.ctx, c.Domain)
}

type domainRemoveCmd struct {
	configFlag
	Domain string `arg:""`
}

func (c *domainRemoveCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.RemoveDomain(e.ctx, c.Domain)
}

type domainListCmd struct{ configFlag }

func (c *domainListCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return eachPage(e.ctx, client.ListDomains, func(d string) string {
		fmt.Fprintln(e.out, d)
		return d
	})
}

type aliasCmd struct {
	Add    aliasAddCmd    `cmd:"" help:"Make an alias, or replace its targets."`
	List   aliasListCmd   `cmd:"" help:"List aliases."`
	Remove aliasRemoveCmd `cmd:"" help:"Remove an alias."`
}

type aliasAddCmd struct {
	configFlag
	Alias   string   `arg:""`
	Targets []string `arg:"" help:"Users that get the mail."`
}

func (c *aliasAddCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.AddAlias(e.ctx, c.Alias, c.Targets)
}

type aliasRemoveCmd struct {
	configFlag
	Alias string `arg:""`
}

func (c *aliasRemoveCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.RemoveAlias(e.ctx, c.Alias)
}

type aliasListCmd struct{ configFlag }

func (c *aliasListCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return eachPage(e.ctx, client.ListAliases, func(a admin.Alias) string {
		fmt.Fprintf(e.out, "%s: %s\n", a.Address, strings.Join(a.Targets, ", "))
		return a.Address
	})
}

// passwordMax bounds what is read as a password.
const passwordMax = 4 << 10

// password asks for a password twice without echo, or reads one line of standard input when that
// is no terminal.
func (e *env) password(prompt string) (string, error) {
	if !term.IsTerminal(int(e.in.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(e.in, passwordMax)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password from standard input: %w", err)
		}
		return nonEmpty(strings.TrimRight(line, "\r\n"))
	}
	first, err := e.ask(prompt + ": ")
	if err != nil {
		return "", err
	}
	again, err := e.ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return nonEmpty(first)
}

func (e *env) ask(prompt string) (string, error) {
	fmt.Fprint(e.errOut, prompt)
	text, err := term.ReadPassword(int(e.in.Fd()))
	fmt.Fprintln(e.errOut)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(text), nil
}

func nonEmpty(password string) (string, error) {
	if password == "" {
		return "", errors.New("no password given: type one, or pipe one line to standard input")
	}
	return password, nil
}
