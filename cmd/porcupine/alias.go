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
