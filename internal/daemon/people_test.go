package daemon

import (
	"testing"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
)

// The directory by way of the admin socket, on a real node.
func TestPeople(t *testing.T) {
	c, _, _ := start(t, loopback(t))
	ctx := t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("add domain", c.AddDomain(ctx, admin.Domain{Domain: "x.example", Postmaster: "Ann@X.example"}))
	must("add users", c.AddUsers(ctx, []string{"ann@x.example", "Bob@x.example"}, "pw"))
	must("add users that are there", c.AddUsers(ctx, []string{"ann@x.example", "bob@x.example"}, "other"))
	must("add alias", c.AddAlias(ctx, "info@x.example", []string{"ann@x.example", "bob@x.example"}))
	quota, yes := int64(7<<20), true
	must("edit", c.EditUser(ctx, "Ann@x.example", admin.UserChange{QuotaBytes: &quota, Disabled: &yes}))
	must("set domain", c.SetDomain(ctx, admin.Domain{Domain: "x.example", CatchAll: "bob@x.example"}))

	users, err := c.ListUsers(ctx, "", 10)
	must("list", err)
	if len(users) != 2 {
		t.Fatalf("ListUsers = %+v", users)
	}
	rest, err := c.ListUsers(ctx, users[0].Address, 10)
	if err != nil || len(rest) != 1 || rest[0].Address != users[1].Address {
		t.Errorf("ListUsers after %s = %+v, %v", users[0].Address, rest, err)
	}
	for _, u := range users {
		if ann := u.Address == "ann@x.example"; u.Disabled != ann || ann && u.QuotaBytes != quota {
			t.Errorf("ListUsers has %+v", u)
		}
	}
	domains, err := c.ListDomains(ctx, "", 10)
	if err != nil || len(domains) != 1 || domains[0] != (admin.Domain{Domain: "x.example", CatchAll: "bob@x.example"}) {
		t.Errorf("ListDomains = %+v, %v", domains, err)
	}
	aliases, err := c.ListAliases(ctx, "", 10)
	if err != nil || len(aliases) != 1 || len(aliases[0].Targets) != 2 {
		t.Errorf("ListAliases = %+v, %v", aliases, err)
	}

	no := int64(-1)
	for what, tt := range map[string]struct {
		err  error
		want cluster.Kind
	}{
		"a user twice":              {c.AddUser(ctx, "ann@x.example", "pw"), cluster.KindExists},
		"a foreign domain":          {c.AddUser(ctx, "ann@y.example", "pw"), cluster.KindInvalid},
		"no address":                {c.AddUser(ctx, "ann", "pw"), cluster.KindInvalid},
		"no password":               {c.AddUser(ctx, "eve@x.example", ""), cluster.KindInvalid},
		"nobody":                    {c.SetPassword(ctx, "eve@x.example", "pw"), cluster.KindNotFound},
		"nobody's quota":            {c.EditUser(ctx, "eve@x.example", admin.UserChange{QuotaBytes: &quota}), cluster.KindNotFound},
		"a negative quota":          {c.EditUser(ctx, "ann@x.example", admin.UserChange{QuotaBytes: &no}), cluster.KindInvalid},
		"a domain in use":           {c.RemoveDomain(ctx, "x.example"), cluster.KindExists},
		"no domain":                 {c.AddDomain(ctx, admin.Domain{Domain: "x y"}), cluster.KindInvalid},
		"a postmaster of no domain": {c.SetDomain(ctx, admin.Domain{Domain: "x.example", Postmaster: "ann"}), cluster.KindInvalid},
		"a foreign domain to set":   {c.SetDomain(ctx, admin.Domain{Domain: "y.example"}), cluster.KindNotFound},
	} {
		if cluster.KindOf(tt.err) != tt.want || tt.err == nil {
			t.Errorf("%s = %v, want %v", what, tt.err, tt.want)
		}
	}

	must("remove alias", c.RemoveAlias(ctx, "info@x.example"))
	must("remove ann", c.RemoveUser(ctx, "ann@x.example"))
	must("remove bob", c.RemoveUser(ctx, "bob@x.example"))
	must("remove domain", c.RemoveDomain(ctx, "x.example"))
	if text, expires, err := c.NewToken(ctx); err != nil || text == "" || expires.IsZero() {
		t.Errorf("NewToken = %q, %v, %v", text, expires, err)
	}
	var faults []string
	if err := c.Verify(ctx, func(f string) { faults = append(faults, f) }); err != nil || len(faults) > 0 {
		t.Errorf("Verify = %v, %q", err, faults)
	}
}
