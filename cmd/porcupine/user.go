package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"porcupine/internal/admin"
	"porcupine/internal/config"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Make a user."`
	List   userListCmd   `cmd:"" help:"List users."`
	Passwd userPasswdCmd `cmd:"" help:"Change a user's password."`
	Set    userSetCmd    `cmd:"" help:"Change a user's limits, or whether the user may log in."`
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

type userSetCmd struct {
	configFlag
	Address       string       `arg:""`
	QuotaBytes    *config.Size `help:"Most mail the user may have, for example 5GiB; 0: the cluster's limit." placeholder:"SIZE"`
	QuotaMessages *int64       `help:"Most messages the user may have; 0: the cluster's limit." placeholder:"N"`
	Disable       bool         `help:"Permit no login; mail still comes in." xor:"login"`
	Enable        bool         `help:"Permit logins again." xor:"login"`
}

func (c *userSetCmd) Run(e *env) error {
	change := admin.UserChange{QuotaBytes: (*int64)(c.QuotaBytes), QuotaMessages: c.QuotaMessages}
	if c.Disable || c.Enable {
		change.Disabled = &c.Disable
	}
	if change == (admin.UserChange{}) {
		return errors.New("nothing to change: say what with --quota-bytes, --quota-messages, --disable or --enable")
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.EditUser(e.ctx, c.Address, change)
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
	fmt.Fprintln(t, "USER\tMESSAGES\tBYTES\tQUOTA\tCREATED\tNOTE")
	err = eachPage(e.ctx, client.ListUsers, func(u admin.User) string {
		note := ""
		if u.Disabled {
			note = "disabled"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\n", u.Address, u.Messages, u.Bytes, quota(u), u.Created.Format("2006-01-02"), note)
		return u.Address
	})
	if err != nil {
		return err // a part of the list would pass for the whole
	}
	return t.Flush()
}

// quota writes a user's own limits.
func quota(u admin.User) string {
	var limits []string
	if u.QuotaBytes > 0 {
		size, err := config.Size(u.QuotaBytes).MarshalText()
		if err != nil {
			return err.Error()
		}
		limits = append(limits, string(size))
	}
	if u.QuotaMessages > 0 {
		limits = append(limits, fmt.Sprintf("%d messages", u.QuotaMessages))
	}
	if len(limits) == 0 {
		return "the cluster's"
	}
	return strings.Join(limits, ", ")
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
