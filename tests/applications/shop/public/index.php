<?php
// The page of the shop, and its health for checks.
require __DIR__ . '/../lib/database.php';
$shop = require __DIR__ . '/../lib/version.php';
if ($_SERVER['REQUEST_URI'] === '/health') {
    require __DIR__ . '/../lib/health.php';
    echo 'fine: ', health();
    exit;
}
$row = database()->query("SELECT {$shop['columns']} FROM goods")->fetch(PDO::FETCH_NUM);
echo 'VERSION-', $shop['version'], ' ', implode(' ', $row);
