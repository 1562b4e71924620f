require "rails"
require "active_record/railtie"
require "action_controller/railtie"

VERSION = 1

class Shop < Rails::Application
  config.root = File.expand_path("..", __dir__)
  config.eager_load = true
  config.secret_key_base = config.root.join("config/master.key").read
  config.hosts.clear
  config.log_level = :info
  routes.append do
    root to: "shop#page"
    get "order/:number", to: "shop#order"
  end
end

class Order < ActiveRecord::Base
end

class ShopController < ActionController::Base
  def page
    render plain: "version #{VERSION}"
  end

  # Keeps an order in the database. The connection stays open.
  def order
    Order.create!(number: params[:number])
    render plain: "kept #{params[:number]}"
  end
end

Shop.initialize!
