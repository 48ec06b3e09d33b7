package main

import (
	"fmt"
	"strings"

	"porcupine/internal/admin"
)

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
	if err := client.AddAlias(e.ctx, c.Alias, c.Targets); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Mail for %s goes to %s now.\n", c.Alias, strings.Join(c.Targets, ", "))
	return nil
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
	if err := client.RemoveAlias(e.ctx, c.Alias); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "The alias %s is removed.\n", c.Alias)
	return nil
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
