//! A small application: pages in PHP, and an `artisan` that works as Laravel's does, with a database in SQLite.

use super::site::Site;

/// The program for the console.
const ARTISAN: &str = r#"<?php
$root = __DIR__;
@mkdir("$root/storage/framework", 0777, true);
@mkdir("$root/bootstrap/cache", 0777, true);
$database = new PDO("sqlite:$root/storage/database.sqlite");
$database->exec('CREATE TABLE IF NOT EXISTS migrations (name TEXT)');
switch ($argv[1] ?? '') {
    case 'migrate':
        $done = $database->query('SELECT name FROM migrations')->fetchAll(PDO::FETCH_COLUMN);
        $waiting = array_diff(array_map('basename', glob("$root/database/migrations/*.sql")), $done);
        echo $waiting ? '' : "Nothing to migrate.\n";
        foreach ($waiting as $name) {
            try {
                $database->exec(file_get_contents("$root/database/migrations/$name"));
            } catch (PDOException $error) {
                echo $error->getMessage(), "\n";
                exit(1);
            }
            $database->prepare('INSERT INTO migrations VALUES (?)')->execute([$name]);
            echo "Migrated $name\n";
        }
        break;
    case 'migrate:rollback':
        $name = $database->query('SELECT name FROM migrations ORDER BY name DESC LIMIT 1')->fetchColumn();
        preg_match('/TABLE (\w+)/', file_get_contents("$root/database/migrations/$name"), $table);
        $database->exec("DROP TABLE $table[1]");
        $database->prepare('DELETE FROM migrations WHERE name = ?')->execute([$name]);
        echo "Rolled back $name\n";
        break;
    case 'down':
        touch("$root/storage/framework/down");
        echo "Application is now in maintenance mode.\n";
        break;
    case 'up':
        @unlink("$root/storage/framework/down");
        echo "Application is now live.\n";
        break;
    case 'optimize':
        file_put_contents("$root/bootstrap/cache/config.php", '<?php return [];');
        echo "Caching framework bootstrap, configuration, and metadata.\n";
        break;
    case 'storage:link':
        symlink("$root/storage/app/public", "$root/public/storage");
        break;
    case 'queue:restart':
        echo "Broadcasting queue restart signal.\n";
        break;
    case 'orders:check':
        file_put_contents("$root/storage/logs/app.log", "[error] no such table: orders\n", FILE_APPEND);
        echo "The table orders is empty\n";
        exit(1);
    default:
        exit(64);
}
"#;

/// Writes the application into the source of a site.
pub(crate) fn write(site: &Site) {
    site.write("artisan", ARTISAN);
    site.write("public/index.php", "<?php echo 'shop';\n");
    site.write("public/health.php", "<?php echo 'ok';\n");
    site.write("database/migrations/0001_products.sql", "CREATE TABLE products (id INTEGER, name TEXT)");
    site.write("storage/framework/views/.gitignore", "*\n!.gitignore\n");
    site.write("storage/logs/.gitignore", "*\n!.gitignore\n");
}
