package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/config"
	"porcupine/internal/mail"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Make a user."`
	List   userListCmd   `cmd:"" help:"List users. Messages and bytes are those of the mail map, some seconds behind deliveries."`
	Show   userShowCmd   `cmd:"" help:"Show one user, and the nodes that the user's mail lies on. Messages and bytes are those of the mail map, some seconds behind deliveries."`
	Passwd userPasswdCmd `cmd:"" help:"Change a user's password."`
	Set    userSetCmd    `cmd:"" help:"Change a user's limits, or whether the user may log in."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user and all of the user's mail. Aliases that lead to the user stay, and are named: mail for those that lead to nobody else waits until they are changed."`
}

type userAddCmd struct {
	configFlag
	Address string `arg:"" help:"For example ann@example.org."`
	Copies  *int   `help:"Nodes that each message of the user lies on, from 1 to 8. Default: the domain's number, or the cluster's." placeholder:"N"`
}

// Validate says which numbers are allowed.
func (c *userAddCmd) Validate() error {
	if c.Copies == nil {
		return nil
	}
	return between("copies", *c.Copies, 1, cluster.ReplicaSetMax, ", or leave it out for the domain's number, or the cluster's")
}

func (c *userAddCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if _, err := parseAddress(c.Address); err != nil { // BEFORE anybody thinks of a password
		return err
	}
	password, err := e.password("Password for " + c.Address)
	if err != nil {
		return err
	}
	if err := client.AddUser(e.ctx, c.Address, password); err != nil {
		return err
	}
	if c.Copies != nil {
		if err := client.EditUser(e.ctx, c.Address, admin.UserChange{Copies: c.Copies}); err != nil {
			return fmt.Errorf("the user %s was made, but without --copies: %w: try 'porcupine user set'", c.Address, err)
		}
	}
	fmt.Fprintf(e.out, "The user %s is made.\n", c.Address)
	return nil
}

// parseAddress reads an address that somebody typed.
func parseAddress(text string) (mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return a, fmt.Errorf("%w: write name@domain, for example ann@example.org", err)
	}
	return a, nil
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
	if _, err := parseAddress(c.Address); err != nil {
		return err
	}
	password, err := e.password("New password for " + c.Address)
	if err != nil {
		return err
	}
	if err := client.SetPassword(e.ctx, c.Address, password); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "The password of %s is changed.\n", c.Address)
	return nil
}

type userSetCmd struct {
	configFlag
	Address       string       `arg:""`
	QuotaBytes    *config.Size `help:"Most mail the user may have, for example 5GiB; 0: the cluster's limit." placeholder:"SIZE"`
	QuotaMessages *int64       `help:"Most messages the user may have; 0: the cluster's limit." placeholder:"N"`
	Copies        *int         `help:"Nodes that each message of the user lies on, from 1 to 8; 0: the domain's number, or the cluster's. It counts for messages that come in from then on." placeholder:"N"`
	Disable       bool         `help:"Permit no login; mail still comes in." xor:"login"`
	Enable        bool         `help:"Permit logins again." xor:"login"`
}

// Validate says which numbers are allowed.
func (c *userSetCmd) Validate() error {
	var errs []error
	if c.QuotaMessages != nil {
		errs = append(errs, between("quota-messages", *c.QuotaMessages, 0, math.MaxInt64, "; 0: the cluster's limit"))
	}
	if c.Copies != nil {
		errs = append(errs, between("copies", *c.Copies, 0, cluster.ReplicaSetMax, "; 0: the domain's number, or the cluster's"))
	}
	return errors.Join(errs...)
}

func (c *userSetCmd) Run(e *env) error {
	change := admin.UserChange{QuotaBytes: (*int64)(c.QuotaBytes), QuotaMessages: c.QuotaMessages, Copies: c.Copies}
	if c.Disable || c.Enable {
		change.Disabled = &c.Disable
	}
	if change == (admin.UserChange{}) {
		return errors.New("nothing to change: say what with --quota-bytes, --quota-messages, --copies, --disable or --enable")
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.EditUser(e.ctx, c.Address, change); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "The user %s is changed.\n", c.Address)
	return nil
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
	was, err := client.ShowUser(e.ctx, c.Address)
	if err != nil {
		was.Messages = -1 // it may be removed all the same
	}
	if err := client.RemoveUser(e.ctx, c.Address); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "The user %s is removed%s.\n", c.Address, mailOf(&was))
	c.tellLoose(e, client)
	fmt.Fprintf(e.out, "For a while (store.vault_for) deleted mail stays on disk: make the user again, then 'porcupine vault restore %s --all'.\nOr, without making the user again, from a backup: 'porcupine restore --from DIR --user %s --deleted'.\n", c.Address, c.Address)
	return nil
}

// mailOf says how much mail a user had, where that is known.
func mailOf(u *admin.UserDetail) string {
	if u.Messages < 0 {
		return ", with all mail"
	}
	return fmt.Sprintf(", with %d messages, %d bytes", u.Messages, u.Bytes)
}

type userListCmd struct{ configFlag }

func (c *userListCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var users []admin.User
	err = eachPage(e.ctx, client.ListUsers, func(u admin.User) string {
		users = append(users, u)
		return u.Address
	})
	if err != nil {
		return err // a part of the list would pass for the whole
	}
	slices.SortFunc(users, func(a, b admin.User) int { return strings.Compare(a.Address, b.Address) })
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USER\tMESSAGES\tBYTES\tQUOTA\tCOPIES\tCREATED\tNOTE")
	for i := range users {
		u := &users[i]
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%s\t%s\n", u.Address, u.Messages, u.Bytes, quota(u), u.CopiesWanted, u.Created.Format(time.DateOnly), note(u))
	}
	return t.Flush()
}

func note(u *admin.User) string {
	if u.Disabled {
		return "disabled"
	}
	return ""
}

type userShowCmd struct {
	configFlag
	Address string `arg:""`
}

func (c *userShowCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	u, err := client.ShowUser(e.ctx, c.Address)
	if err != nil {
		return err
	}
	names := map[cluster.NodeID]string{}
	if s, err := client.Status(e.ctx); err == nil { // without it the ids alone
		names = nodeNames(&s)
	}
	return writeUser(e.out, &u, names)
}

// writeUser writes all that is known of a user; names are those of the nodes.
func writeUser(w io.Writer, u *admin.UserDetail, names map[cluster.NodeID]string) error {
	copies := fmt.Sprintf("%d (not the user's own number)", u.CopiesWanted)
	if u.Copies > 0 {
		copies = strconv.Itoa(u.Copies)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"user", u.Address},
		{"note", cmp.Or(note(&u.User), "-")},
		{"created", u.Created.Local().Format(time.DateTime)},
		{"changed", u.Changed.Local().Format(time.DateTime)},
		{"SCRAM", map[bool]string{true: "yes", false: "no"}[u.SCRAM]},
		{"quota", quota(&u.User)},
		{"copies", copies},
		{"mail", fmt.Sprintf("%d messages, %d bytes (of the mail map, some seconds behind deliveries)", u.Messages, u.Bytes)},
		{"profile on", namedList(u.ProfileNodes, names)},
	} {
		fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
	}
	for _, f := range u.Mail {
		fmt.Fprintf(t, "mail on\t%s: %d messages, %d bytes; live: %s\n", namedList(f.Nodes, names), f.Messages, f.Bytes, namedList(f.Live, names))
	}
	return t.Flush()
}

// nodeNames gives the nodes' names, and their machines where they have some.
func nodeNames(s *admin.Status) map[cluster.NodeID]string {
	names := make(map[cluster.NodeID]string, len(s.Members)+len(s.Absent))
	add := func(id cluster.NodeID, name, machine string) {
		if names[id] = name; machine != "" {
			names[id] = strings.TrimSpace(name + " (machine " + machine + ")")
		}
	}
	for i := range s.Members {
		add(s.Members[i].ID, s.Members[i].Name, s.Members[i].Machine)
	}
	for i := range s.Absent {
		add(s.Absent[i].ID, s.Absent[i].Name, s.Absent[i].Machine)
	}
	return names
}

// namedList writes nodes with their names; one that has none, or was removed, by its id alone.
func namedList(nodes []cluster.NodeID, names map[cluster.NodeID]string) string {
	list := make([]string, len(nodes))
	for i, id := range nodes {
		list[i] = strings.TrimSpace(id.String() + " " + names[id])
	}
	return cmp.Or(strings.Join(list, ", "), "none")
}

// nodeList writes node ids.
func nodeList(nodes []cluster.NodeID) string { return namedList(nodes, nil) }

// quota writes a user's own limits.
func quota(u *admin.User) string {
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
