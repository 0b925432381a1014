package change

import (
	"reflect"
	"strings"
	"testing"
)

func TestTouches(t *testing.T) {
	for name, want := range map[string]string{
		// Databases.
		"internal/db/conn.go":                    "database",
		"src/main/java/com/acme/OrderDao.java":   "database",
		"app/models/order.rb":                    "database",
		"shop/models.py":                         "database",
		"prisma/schema.prisma":                   "database",
		"store/postgres.go":                      "database",
		"store/SQLStore.kt":                      "database",
		"reports/monthly.sql":                    "database",
		"deploy/my.cnf":                          "database config",
		"config/database.yml":                    "database config",
		"lib\\db\\pool.cs":                       "database",
		"src/main/resources/datasource.xml":      "database",
		"DB/SCHEMA.SQL":                          "database",
		"internal/store/dbpool_linux.go":         "",
		"models/churn/model.py":                  "",
		"assets/thumbs.db":                       "",
		"internal/dbus/bus.go":                   "",
		"api/schema.graphql":                     "",
		"internal/sandbox/box.go":                "",
		"pkg/mongoose_farm.go":                   "",
		"docs/database/README.md":                "",
		"internal/db/conn_test.go":               "",
		"test/db/seed.sql":                       "",
		"vendor/github.com/lib/pq/db/conn.go":    "",
		"node_modules/mysql/lib/Connection.js":   "",
		"src/test/java/com/acme/OrderDaoIT.java": "",
		// Queries.
		"checkout/queries/orders.py":                  "query",
		"internal/orderQuery.go":                      "query",
		"internal/order_query.go":                     "query",
		"queries/orders.sql":                          "database query",
		"src/main/java/com/acme/OrderRepository.java": "query",
		"web/jquery.js":                               "",
		"web/src/useQuery.ts":                         "",
		"web/src/queryClient.ts":                      "",
		"web/query-string.js":                         "",
		"web/src/OrderQuery.tsx":                      "",
		"internal/http/query_params.go":               "",
		"styles/media-query.css":                      "",
		"internal/inquery.go":                         "",
		"git/Repository.java":                         "",
		"git/repository.go":                           "",
		// Migrations.
		"shop/migrations/0007_add_index.py":      "migration",
		"shop/migrations/__init__.py":            "",
		"db/migrate/20240131093000_add_index.rb": "database migration",
		"sql/V2__add_index.sql":                  "database migration",
		"sql/R__views.sql":                       "database migration",
		"src/V2_1__AddIndex.java":                "migration",
		"000002_add_index.up.sql":                "database migration",
		"alembic/versions/ab12_add.py":           "migration",
		"alembic.ini":                            "migration",
		"resources/db.changelog-master.xml":      "database migration",
		"docs/migration/guide.md":                "",
		"internal/bird_migrations_test.go":       "",
		"internal/emigration.go":                 "",
		"pictures/migrations/bird.png":           "",
		// Configuration.
		"config/payments.yaml":                           "config",
		"internal/config/config.go":                      "config",
		"src/main/resources/application.yml":             "config",
		"src/main/resources/application-prod.properties": "config",
		"Dockerfile":                  "config",
		"build/Dockerfile.alpine":     "config",
		"docker-compose.yml":          "config",
		".env":                        "config",
		".env.production":             "config",
		"terraform/main.tf":           "config",
		"charts/pay/values.yaml":      "config",
		"k8s/deployment.yaml":         "config",
		"nginx.conf":                  "config",
		"shop/settings.py":            "config",
		"appsettings.Production.json": "config",
		".env.example":                "",
		"package.json":                "",
		"tsconfig.json":               "",
		"jest.config.js":              "",
		"web/eslint.config.mjs":       "",
		".golangci.yml":               "",
		".github/workflows/ci.yml":    "",
		"pyproject.toml":              "",
		"Cargo.toml":                  "",
		"go.sum":                      "",
		"internal/reconfigure.go":     "",
		"internal/confirm.go":         "",
		"locales/settings.json":       "",
		"api/openapi.yaml":            "",
		"settings.md":                 "",
		// No names at all.
		"":                                     "",
		"/":                                    "",
		".":                                    "",
		"../..":                                "",
		"a/b/":                                 "",
		strings.Repeat("db/", 400) + "conn.go": "",
		"\x00\xff/db.go":                       "database",
	} {
		if got := strings.Join(Touches([]string{name}), " "); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	got := Touches([]string{"README.md", "config/a.yaml", "shop/migrations/1.py", "queries/b.sql"})
	if want := []string{"database", "query", "migration", "config"}; !reflect.DeepEqual(got, want) {
		t.Errorf("of several files: got %q, want %q", got, want)
	}
	if got := Touches(nil); got != nil {
		t.Errorf("of no files: %q", got)
	}
}

// TestFlaggedFilesAreKept: what a change is flagged for is among what is shown.
func TestFlaggedFilesAreKept(t *testing.T) {
	var files []string
	for range 100 {
		files = append(files, "web/page.tsx")
	}
	c := commit("a", 1, noon)
	c.Files = append(files, "db/orders.sql", " \u202e ")
	c, err := tidy(c)
	if err != nil || len(c.Files) != maxFiles || c.Files[0] != "db/orders.sql" || strings.Join(c.Touches, " ") != "database" {
		t.Errorf("%v: %d files, %q first, touches %q", err, len(c.Files), c.Files[0], c.Touches)
	}
}
