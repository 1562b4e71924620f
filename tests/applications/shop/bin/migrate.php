<?php
// Runs the migrations that the database does not have yet, each in a transaction.
require __DIR__ . '/../lib/database.php';
$database = database();
$database->exec('CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)');
foreach (glob(__DIR__ . '/../migrations/*.sql') as $file) {
    $name = basename($file, '.sql');
    $done = $database->prepare('SELECT count(*) FROM migrations WHERE name = ?');
    $done->execute([$name]);
    if ($done->fetchColumn() > 0) {
        continue;
    }
    $database->beginTransaction();
    $database->exec(file_get_contents($file));
    $database->prepare('INSERT INTO migrations VALUES (?)')->execute([$name]);
    $database->commit();
    echo "migrated $name\n";
}
