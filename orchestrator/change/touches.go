package change

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// flags are what a change may touch, in the order in which they are told.
var flags = []string{"database", "query", "migration", "config"}

// Touches says which of "database", "query", "migration" and "config" the
// files belong to, by their paths alone. A path counts by a whole segment, a
// whole word of its name or its extension, never by a part of a word: jquery
// is no query. Documentation, tests, code of others and the configuration of
// development tools do not count; neither do paths longer than 1,000 bytes.
// A miss costs a hint, a false hit costs the trust in all of them.
func Touches(files []string) []string {
	var found [4]bool
	for _, name := range files {
		if len(name) > 1000 {
			continue
		}
		p := splitPath(name)
		if p.ignored() {
			continue
		}
		found[0] = found[0] || p.database()
		found[1] = found[1] || p.query()
		found[2] = found[2] || p.migration()
		found[3] = found[3] || p.config()
	}
	var all []string
	for i, f := range flags {
		if found[i] {
			all = append(all, f)
		}
	}
	return all
}

// path is a file's path, taken apart.
type path struct {
	dirs  []string // in lower case
	base  string   // in lower case
	stem  string   // base without extension
	ext   string   // in lower case, with its dot
	words []string // of stem, in lower case: orderQuery_v2 is order, query, v, 2
}

func splitPath(name string) path {
	segments := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' })
	if len(segments) == 0 {
		return path{}
	}
	last := len(segments) - 1
	p := path{dirs: make([]string, last)}
	for i, d := range segments[:last] {
		p.dirs[i] = strings.ToLower(d)
	}
	stem, ext := segments[last], ""
	if i := strings.LastIndexByte(stem, '.'); i > 0 {
		stem, ext = stem[:i], strings.ToLower(stem[i:])
	}
	p.base, p.stem, p.ext, p.words = strings.ToLower(segments[last]), strings.ToLower(stem), ext, splitWords(stem)
	return p
}

// splitWords cuts at whatever is no letter, and where a lower-case letter is
// followed by a capital (orderQuery) or capitals by a word (SQLStore).
func splitWords(s string) []string {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	runes := []rune(s)
	for i, r := range runes {
		if !unicode.IsLetter(r) {
			end()
			continue
		}
		if unicode.IsUpper(r) && i > 0 {
			next := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(runes[i-1]) || unicode.IsUpper(runes[i-1]) && next {
				end()
			}
		}
		word = append(word, r)
	}
	end()
	return words
}

func (p path) in(dirs ...string) bool {
	return slices.ContainsFunc(p.dirs, func(d string) bool { return slices.Contains(dirs, d) })
}

func (p path) says(words ...string) bool {
	return slices.ContainsFunc(p.words, func(w string) bool { return slices.Contains(words, w) })
}

func (p path) is(exts ...string) bool     { return slices.Contains(exts, p.ext) }
func (p path) named(bases ...string) bool { return slices.Contains(bases, p.base) }

// ignored are files that a running service does not read.
func (p path) ignored() bool {
	return p.base == "" ||
		p.is(".md", ".mdx", ".rst", ".adoc", ".txt", ".html", ".htm", ".css", ".scss", ".less", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".webp", ".pdf", ".lock", ".sum", ".snap", ".map", ".example", ".sample", ".template", ".dist") ||
		p.in("docs", "doc", "test", "tests", "testdata", "__tests__", "__mocks__", "__snapshots__", "spec", "specs", "e2e", "fixtures", "vendor", "node_modules", "third_party", "examples", "example") ||
		strings.HasSuffix(p.stem, "_test") || strings.HasSuffix(p.stem, ".test") || strings.HasSuffix(p.stem, ".spec") || strings.HasSuffix(p.stem, "_spec") || strings.HasPrefix(p.stem, "test_") ||
		(p.is(".java", ".kt", ".cs", ".scala", ".php", ".swift") && p.says("test", "tests"))
}

// source are files of code.
func (p path) source() bool {
	return p.is(".go", ".py", ".rb", ".js", ".mjs", ".cjs", ".ts", ".java", ".kt", ".scala", ".cs", ".fs", ".php", ".rs", ".ex", ".exs", ".erl", ".clj", ".c", ".cc", ".cpp", ".h", ".hpp", ".swift", ".pl", ".lua", ".groovy")
}

// data are files of settings or data that are not code.
func (p path) data() bool {
	return p.is(".yaml", ".yml", ".json", ".json5", ".jsonc", ".toml", ".xml", ".ini", ".conf", ".cfg", ".cnf", ".properties", ".env", ".hcl", ".cue", ".tf", ".tfvars")
}

func (p path) sql() bool {
	return p.is(".sql", ".psql", ".pgsql", ".plsql", ".ddl", ".hql")
}

func (p path) database() bool {
	if p.sql() || p.is(".prisma", ".dbml") || p.named("models.py", "schema.rb", "knexfile.js", "knexfile.ts", "my.cnf", "postgresql.conf", "pg_hba.conf", "mongod.conf") {
		return true
	}
	if !p.source() && !p.data() {
		return false
	}
	if p.in("db", "database", "databases", "sql", "dao", "postgres", "postgresql", "mysql") {
		return true
	}
	if p.source() && (p.says("orm", "dao", "hibernate", "sqlalchemy", "jdbc") || p.is(".rb") && p.in("models")) {
		return true
	}
	return p.says("db", "database", "databases", "sql", "postgres", "postgresql", "mysql", "mariadb", "sqlite", "mongo", "mongodb", "dynamodb", "cassandra", "datasource")
}

func (p path) query() bool {
	if p.sql() {
		return p.in("queries", "query") || p.says("query", "queries")
	}
	if !p.source() {
		return false
	}
	// A query string, a media query, and the hooks of query libraries in a
	// browser never reach a database.
	if p.says("string", "strings", "param", "params", "parameter", "parameters", "selector", "media", "client", "use", "url", "hook", "hooks", "dom") || p.in("hooks") {
		return false
	}
	if p.says("query", "queries") || p.in("queries", "query") {
		return true
	}
	// In these languages a class of this name is where the queries are.
	return p.is(".java", ".kt", ".cs", ".scala", ".php") && len(p.words) > 1 && p.words[len(p.words)-1] == "repository"
}

// migrationName are the names that Flyway (V2__add_index.sql), golang-migrate
// (000002_add.up.sql) and Rails (20240131093000_add_index.rb) give.
var migrationName = regexp.MustCompile(`^(?:[vur]\d*(?:[._]\d+)*__.+\.(?:sql|java|kt)|\d+_.+\.(?:up|down)\.sql|\d{14}_.+\.(?:rb|exs|php))$`)

func (p path) migration() bool {
	if !p.source() && !p.data() && !p.sql() {
		return false
	}
	if p.in("migrations", "migration", "migrate", "alembic", "flyway", "liquibase") {
		return p.base != "__init__.py"
	}
	return migrationName.MatchString(p.base) ||
		p.says("migration", "migrations") || p.named("alembic.ini", "flyway.conf", "flyway.toml") ||
		strings.HasPrefix(p.base, "db.changelog")
}

func (p path) config() bool {
	if p.tooling() {
		return false
	}
	if p.named("dockerfile", "containerfile", "procfile", "docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml", "values.yaml", "values.yml", "chart.yaml", "kustomization.yaml", "kustomization.yml", "web.config", "app.config", "application.rb", "settings.py", ".env") ||
		strings.HasPrefix(p.base, ".env.") || strings.HasPrefix(p.base, "dockerfile.") || strings.HasPrefix(p.base, "appsettings.") {
		return true
	}
	if p.is(".conf", ".cnf", ".ini", ".properties", ".env", ".tf", ".tfvars", ".hcl") {
		return true
	}
	if p.data() {
		return p.in("config", "configs", "conf", "configuration", "settings", "helm", "charts", "k8s", "kubernetes", "kustomize", "manifests", "terraform", "ansible", "environments") ||
			p.says("config", "configs", "configuration", "conf", "settings", "application", "env")
	}
	return p.source() && (p.says("config", "configs", "configuration", "settings") || p.in("config", "configs", "configuration", "settings"))
}

// tooling is the configuration of what builds and checks the code.
func (p path) tooling() bool {
	return p.in(".github", ".gitlab", ".circleci", ".vscode", ".idea", ".husky", ".devcontainer", "locales", "i18n") ||
		p.named("package.json", "package-lock.json", "pnpm-lock.yaml", "composer.json", "tsconfig.json", "pyproject.toml", "cargo.toml", "setup.cfg", "tox.ini", "pytest.ini", "mypy.ini", "gradle.properties", "gradle-wrapper.properties", "pom.xml", "desktop.ini", "alembic.ini") ||
		(strings.HasPrefix(p.base, ".") && !strings.HasPrefix(p.base, ".env")) ||
		p.says("jest", "eslint", "babel", "prettier", "vite", "vitest", "webpack", "rollup", "postcss", "tailwind", "stylelint", "karma", "cypress", "playwright", "commitlint", "renovate", "dependabot", "lint", "golangci", "rustfmt", "clippy", "metro", "storybook", "codecov", "mkdocs", "tsconfig", "jsconfig")
}
