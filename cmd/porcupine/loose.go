package main

import (
	"fmt"
	"slices"
	"strings"

	"porcupine/internal/admin"
	"porcupine/internal/mail"
)

// loose are the addresses that led to a user who is removed. What leads there is settled by hand: who removes a user
// knows whether another one gets the mail.
type loose struct {
	nowhere  []string // aliases that lead to nobody now: mail for them waits
	targets  []string // aliases that lead to others as well
	domains  []string // whose postmaster the user was
	catchAll []string // domains whose mail for unknown addresses the user got
}

// looseEnds finds what led to a user, by way of other aliases too.
func looseEnds(user string, aliases []admin.Alias, domains []admin.Domain) loose {
	var l loose
	gone := map[string]bool{canonical(user): true}
	dead := func(target string) bool { return gone[target] || gone[withoutDetail(target)] }
	for grown := true; grown; { // an alias that leads nowhere may take others with it
		grown = false
		for _, a := range aliases {
			if name := canonical(a.Address); !gone[name] && !slices.ContainsFunc(a.Targets, func(t string) bool { return !dead(canonical(t)) }) {
				gone[name], grown = true, true
				l.nowhere = append(l.nowhere, a.Address)
			}
		}
	}
	for _, a := range aliases {
		if !gone[canonical(a.Address)] && slices.ContainsFunc(a.Targets, func(t string) bool { return dead(canonical(t)) }) {
			l.targets = append(l.targets, a.Address)
		}
	}
	for _, d := range domains {
		if d.Postmaster != "" && dead(canonical(d.Postmaster)) {
			l.domains = append(l.domains, d.Domain)
		}
		if d.CatchAll != "" && dead(canonical(d.CatchAll)) {
			l.catchAll = append(l.catchAll, d.Domain)
		}
	}
	for _, list := range [][]string{l.nowhere, l.targets, l.domains, l.catchAll} {
		slices.Sort(list)
	}
	return l
}

// canonical gives an address as the cluster compares it; what is none stays as it is.
func canonical(address string) string {
	a, err := mail.ParseAddress(address)
	if err != nil {
		return address
	}
	return a.Canonical()
}

// withoutDetail gives the address whose mail one with a detail is, unless somebody has that very name.
func withoutDetail(address string) string {
	a, err := mail.ParseAddress(address)
	if err != nil {
		return address
	}
	base, _ := a.SplitDetail("+")
	return base.Canonical()
}

// lines say what there is to do, one line for each kind.
func (l *loose) lines() (lines []string) {
	for _, k := range []struct {
		names []string
		text  string
	}{
		{l.nowhere, "Aliases that lead to nobody now, mail for which waits until 'porcupine alias add' gives them other targets, or 'porcupine alias remove' ends them: %s"},
		{l.targets, "Aliases that led there, and lead to others as well: take the removed address out, with 'porcupine alias add' and the other targets: %s"},
		{l.domains, "Domains whose postmaster it was: name another with 'porcupine domain set': %s"},
		{l.catchAll, "Domains whose mail for unknown addresses went there: name another with 'porcupine domain set --catch-all', or leave it out: %s"},
	} {
		if len(k.names) > 0 {
			lines = append(lines, fmt.Sprintf(k.text, strings.Join(k.names, ", ")))
		}
	}
	return lines
}

// tellLoose says which addresses led to the user who was removed.
func (c *userRemoveCmd) tellLoose(e *env, client *admin.Client) {
	var aliases []admin.Alias
	var domains []admin.Domain
	err := eachPage(e.ctx, client.ListAliases, func(a admin.Alias) string {
		aliases = append(aliases, a)
		return a.Address
	})
	if err == nil {
		err = eachPage(e.ctx, client.ListDomains, func(d admin.Domain) string {
			domains = append(domains, d)
			return d.Domain
		})
	}
	if err != nil {
		fmt.Fprintf(e.errOut, "Whether aliases led there cannot be said now (see 'porcupine alias list'): %v\n", err)
		return
	}
	found := looseEnds(c.Address, aliases, domains)
	for _, line := range found.lines() {
		fmt.Fprintln(e.out, line)
	}
}
