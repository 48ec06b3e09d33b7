package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
)

type vaultCmd struct {
	List    vaultListCmd    `cmd:"" help:"List a user's deleted messages whose contents are still there. ON NODES is how many nodes keep a message in their vaults, each a copy of its own; one is enough to restore it."`
	Restore vaultRestoreCmd `cmd:"" help:"Deliver deleted messages again, with the time at which they first came in. Repeating it does no harm."`
}

type vaultListCmd struct {
	configFlag
	Address string `arg:""`
	Since   moment `help:"Only what was deleted since then: a time such as 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00:00Z, or how long ago, such as 2h." placeholder:"TIME"`
}

func (c *vaultListCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	list, err := client.ListDeleted(e.ctx, c.Address, c.Since.before(time.Now()))
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tBYTES\tRECEIVED\tDELETED\tON NODES\tNOTE")
	for _, m := range list.Messages {
		note := ""
		if m.Restored {
			note = "restored"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t%s\n", m.ID, m.Size, m.Received.Local().Format(time.DateTime), m.Deleted.Local().Format(time.DateTime), len(m.Nodes), note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(list.Messages) > 0 {
		fmt.Fprintln(e.errOut, "ON NODES: so many nodes keep the message, each a copy of its own; one is enough to restore it.")
	}
	return e.silent(list.Silent)
}

// silent says which nodes' part is missing from a list, as an error of the command: who restores
// everything must know that it was not everything.
func (e *env) silent(nodes []cluster.NodeID) error {
	if len(nodes) == 0 {
		return nil
	}
	return fmt.Errorf("no answer from the nodes %s: messages that lie in their vaults alone are missing; repeat the command later", nodeList(nodes))
}

type vaultRestoreCmd struct {
	configFlag
	Address string   `arg:""`
	IDs     []string `arg:"" optional:"" name:"id" help:"As 'porcupine vault list' shows them."`
	All     bool     `help:"Restore all that can be."`
	Since   moment   `help:"With --all: only what was deleted since then; written as for 'porcupine vault list'." placeholder:"TIME"`
}

func (c *vaultRestoreCmd) Run(e *env) error {
	switch {
	case c.All == (len(c.IDs) > 0):
		return errors.New("say which messages: their ids, or --all")
	case c.Since.isSet() && !c.All:
		return errors.New("--since goes with --all")
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	ids := c.IDs
	var silent []cluster.NodeID
	if c.All {
		list, err := client.ListDeleted(e.ctx, c.Address, c.Since.before(time.Now()))
		if err != nil {
			return err
		}
		silent = list.Silent
		for _, m := range list.Messages {
			if !m.Restored {
				ids = append(ids, m.ID)
			}
		}
	}
	results, err := client.Restore(e.ctx, c.Address, ids)
	restored, failed := 0, 0
	for _, r := range results {
		switch {
		case r.Error == "":
			restored++
		case r.Kind == cluster.KindExists:
			fmt.Fprintf(e.errOut, "%s: %s\n", r.ID, r.Error)
		default:
			failed++
			fmt.Fprintf(e.errOut, "%s: %s\n", r.ID, r.Error)
		}
	}
	fmt.Fprintf(e.errOut, "%d messages restored\n", restored)
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d messages could not be restored", failed))
	}
	return errors.Join(err, e.silent(silent))
}

// moment is a time, or how long ago it was.
type moment struct {
	at  time.Time
	ago time.Duration
}

func (m *moment) isSet() bool { return !m.at.IsZero() || m.ago > 0 }

// before gives the time, zero if none was given.
func (m *moment) before(now time.Time) time.Time {
	if m.ago > 0 {
		return now.Add(-m.ago)
	}
	return m.at
}

// UnmarshalText reads a time in one of some forms, or a duration.
func (m *moment) UnmarshalText(b []byte) (err error) {
	text := string(b)
	if m.ago, err = time.ParseDuration(text); err == nil && m.ago > 0 {
		return nil
	}
	m.ago = 0
	if m.at, err = time.Parse(time.RFC3339, text); err == nil {
		return nil
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if m.at, err = time.ParseInLocation(form, text, time.Local); err == nil {
			return nil
		}
	}
	return fmt.Errorf("time %q: write one such as 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00:00Z, or how long ago, such as 2h", text)
}

var _ admin.Vault = (*admin.Client)(nil)
