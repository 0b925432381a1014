package tenant

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/strictyaml"
)

func parseYAML(text string) (list []Config, problems []strictyaml.Problem) {
	problems = strictyaml.Read("c.yaml", []byte(text), func(r *strictyaml.Reader, root *yaml.Node) {
		r.Pairs(root, func(_, value *yaml.Node) { list = ParseList(r, value) })
	})
	return list, problems
}

func TestTenantsAreRead(t *testing.T) {
	list, problems := parseYAML(`tenants:
  - id: payments
    service: Payments API
    health_url: https://payments.internal
    secret_file: /run/secrets/payments
  - id: shop-2
    health_url: http://10.0.0.7:9090/tenant/shop/health?x=1
    secret_env: SHOP_SECRET
`)
	want := []Config{
		{ID: "payments", Service: "Payments API", HealthURL: "https://payments.internal/health/alerts", SecretFile: "/run/secrets/payments", Where: "c.yaml:2:5"},
		{ID: "shop-2", Service: "shop-2", HealthURL: "http://10.0.0.7:9090/tenant/shop/health?x=1", SecretEnv: "SHOP_SECRET", Where: "c.yaml:6:5"},
	}
	if len(problems) > 0 || fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("%+v, %v", list, problems)
	}
	if p := CheckOwn(list, "payments"); len(p) != 1 || p[0].Where != "c.yaml:2:5" || !strings.Contains(p[0].Text, "that of the own service") {
		t.Errorf("with the own tenant's id: %v", p)
	}
	if p := CheckOwn(list, "shop"); len(p) != 0 {
		t.Errorf("with another own id: %v", p)
	}
	for _, none := range []string{"tenants:\n", "tenants: []\n"} {
		if list, problems := parseYAML(none); len(list)+len(problems) > 0 {
			t.Errorf("%q: %v, %v", none, list, problems)
		}
	}
}

func TestWrongTenantsAreToldWithTheirPlace(t *testing.T) {
	one := func(s string) string { return "tenants:\n  - id: a\n    health_url: http://a\n    " + s + "\n" }
	for _, c := range []struct{ text, want string }{
		{"tenants: {id: a}\n", "1:10: tenants must be a list"},
		{"tenants: [a]\n", "1:11: a tenant must have its keys"},
		{"tenants:\n  - health_url: http://a\n", "2:5: a tenant needs an id"},
		{"tenants:\n  - id: a\n", `2:5: the tenant "a" needs a health_url`},
		{"tenants:\n  - id: Shop\n", `2:9: id must be 1 to 63 lower-case letters, digits and hyphens, not "Shop"`},
		{"tenants:\n  - id: webhook\n", `2:9: id cannot be "webhook"`},
		{"tenants:\n  - id: 7\n", "2:9: id must be text"},
		{"tenants:\n  - id: ''\n", "2:9: id must be text"},
		{"tenants:\n  - id: " + strings.Repeat("a", 64) + "\n", "2:9: id must be"},
		{"tenants:\n  - id: a\n    health_url: ftp://a\n", "3:17: health_url must be a URL"},
		{"tenants:\n  - id: a\n    health_url: /health\n", "3:17: health_url must be a URL"},
		{"tenants:\n  - id: a\n    health_url: http://u:hunter2@a\n", "3:17: health_url must have no user or password"},
		{"tenants:\n  - id: a\n    health_url: http://a/#x\n", "3:17: health_url must have no fragment"},
		{one("secret: hunter2hunter2hunter2"), "4:5: a secret has no place in this file"},
		{one("colour: red"), `4:5: unknown key "colour" of a tenant; it has id, service,`},
		{one("secret_flie: x"), `4:5: unknown key "secret_flie" of a tenant; did you mean "secret_file"?`},
		{one("service: b\n    service: c"), `5:5: key "service" is given twice`},
		{one("secret_env: two words"), "4:17: secret_env must be the name of an environment variable"},
		{one("secret_env: A\n    secret_file: b"), "both secret_file and secret_env"},
		{one("service: [x]"), "4:14: service must be text"},
		{one("service: " + strings.Repeat("x", 300)), "service must have at most 200 bytes"},
		{"tenants:\n  - {id: a, health_url: http://a}\n  - {id: a, health_url: http://b}\n", `3:5: the tenant id "a" is given twice, first at c.yaml:2:5`},
		{"tenants:\n" + strings.Repeat("  - x\n", 65), "there are 65 tenants"},
	} {
		_, problems := parseYAML(c.text)
		var got []string
		for _, p := range problems {
			got = append(got, strings.TrimPrefix(p.Error(), "c.yaml:"))
		}
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
		if strings.Contains(strings.Join(got, ""), "hunter2") {
			t.Errorf("%q repeats a secret: %q", c.text, got)
		}
	}
}

func TestATenantIsNamedWithoutItsQuery(t *testing.T) {
	c := Config{ID: "pay", HealthURL: "https://pay.example/health?token=hunter2", Where: "c.yaml:2:5"}
	if got := c.String(); got != "pay at https://pay.example/health?…" {
		t.Errorf("it is named %q", got)
	}
	moved, other := c, c
	moved.Where, other.HealthURL = "c.yaml:9:5", "https://pay.example/health?token=hunter3"
	if !c.Same(moved) || c.Same(other) {
		t.Error("a tenant at another line is another, or one with another URL is the same")
	}
}
