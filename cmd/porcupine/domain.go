package main

import (
	"cmp"
	"fmt"
	"strconv"
	"text/tabwriter"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
)

type domainCmd struct {
	Add    domainAddCmd    `cmd:"" help:"Take mail for a domain."`
	Set    domainSetCmd    `cmd:"" help:"Replace the settings of a domain; a flag left out removes what was set."`
	List   domainListCmd   `cmd:"" help:"List domains."`
	Remove domainRemoveCmd `cmd:"" help:"Take no more mail for a domain; its users must be gone."`
}

// domainFlags are a domain and its settings.
type domainFlags struct {
	configFlag
	Domain     string `arg:"" help:"For example example.org."`
	Postmaster string `help:"Who gets the mail for postmaster, unless there is such a user." placeholder:"ADDRESS"`
	CatchAll   string `help:"Who gets the mail for addresses that nobody has. Default: it is refused." placeholder:"ADDRESS"`
	Copies     int    `help:"Nodes that each message of its users lies on, from 1 to 8, unless the user has a number of its own. Default: the cluster's number." placeholder:"N"`
}

// Validate says which numbers are allowed.
func (f *domainFlags) Validate() error {
	return between("copies", f.Copies, 0, cluster.ReplicaSetMax, "; 0: the cluster's number")
}

func (f *domainFlags) domain() admin.Domain {
	return admin.Domain{Domain: f.Domain, Postmaster: f.Postmaster, CatchAll: f.CatchAll, Copies: f.Copies}
}

type domainAddCmd struct{ domainFlags }

func (c *domainAddCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.AddDomain(e.ctx, c.domain()); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "The cluster takes mail for %s now.\n", c.Domain)
	return nil
}

type domainSetCmd struct{ domainFlags }

func (c *domainSetCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.SetDomain(e.ctx, c.domain()); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "The settings of %s are changed.\n", c.Domain)
	return nil
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
	if err := client.RemoveDomain(e.ctx, c.Domain); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "The cluster takes no more mail for %s.\n", c.Domain)
	return nil
}

type domainListCmd struct{ configFlag }

func (c *domainListCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DOMAIN\tPOSTMASTER\tCATCH-ALL\tCOPIES")
	err = eachPage(e.ctx, client.ListDomains, func(d admin.Domain) string {
		copies := "-"
		if d.Copies > 0 {
			copies = strconv.Itoa(d.Copies)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", d.Domain, cmp.Or(d.Postmaster, "-"), cmp.Or(d.CatchAll, "-"), copies)
		return d.Domain
	})
	if err != nil {
		return err // a part of the list would pass for the whole
	}
	return t.Flush()
}
